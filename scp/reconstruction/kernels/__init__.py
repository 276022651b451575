"""Compiled kernels: the same pixels as ``reference``, as fast as memory allows.

Three families, by how the rows of pixels lie in the volume (``engine`` chooses):

* ``rows``: a row of pixels runs along a row of voxels (coronal and axial planes of axial slices, tilted or
  not);
* ``tiles``: neighbouring planes run along a row of voxels (sagittal planes of axial slices), so a
  chunk of planes is made at once, one cache line of voxels after the other;
* ``general``: whatever else; eight voxels are fetched for every pixel.

numba's cache knows a function by the file that it stands in: whoever changes a function that others here call
clears the cache (``NUMBA_CACHE_DIR``, else ``__pycache__``).

They take plain arrays, allocate nothing that is large, and release the interpreter's lock. Weights are
float32, places float64.
"""
