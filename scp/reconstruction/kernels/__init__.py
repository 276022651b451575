"""Compiled kernels: the same pixels as ``reference``, as fast as memory allows.

Three families, by how the rows of pixels lie in the volume (``engine`` chooses):

* ``rows``: a row of pixels runs along a row of voxels (coronal and axial planes of axial slices, tilted or
  not);
* ``tiles``: neighbouring planes run along a row of voxels (sagittal planes of axial slices), so a
  chunk of planes is made at once, one cache line of voxels after the other;
* ``general``: whatever else; eight voxels are fetched for every pixel.

Compiled code is kept between processes (``keeping``): importing this package settles where.

They take plain arrays, allocate nothing that is large, and release the interpreter's lock. Weights are
float32, places float64.
"""

from scp.reconstruction.kernels import keeping

keeping.settle()
