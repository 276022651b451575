"""Every number that decides what belongs together, with the reason for its size.

They are no configuration: a hospital that turned one would mix or tear apart volumes without knowing it.
What a hospital may turn (minimum number of images, auxiliary identifiers, policy) is in ``SelectionRules``.
"""

ORIENTATION_DEGREES = 0.1
"""The same volume has one Image Orientation; scanners that write each slice's anew differ in the last
digit (0.01 degree). A tenth of a degree moves the end of a 500 mm row by 0.9 mm, one pixel."""

GANTRY_TILT_DEGREES = 0.1
"""A stack that runs along another direction than its normal by more than this is called tilted. Real
untilted series lean up to 0.05 degree (rounded cosines); real tilts begin at a degree."""

PIXEL_SPACING_RELATIVE = 1e-3
"""Half a pixel over a row of 512: less is rounding of the decimal string."""

CONTRAST_RELATIVE = 1e-3
"""Numbers that describe contrast (times, voltages) are prescribed, not measured; real series repeat them to
the last digit, so that a difference beyond writing is a different image."""

SAME_POSITION_MM = 0.01
"""Two images nearer than this lie at one place: positions are written to a hundredth or better, and no
scanner steps so little."""

STEP_JITTER = 0.2
"""How far a step may be from its regime's, relative to it: each of its two positions may be off by a tenth.
A lost slice doubles the step, so that jitter and hole cannot be taken for each other."""

REGIME_STEPS = 3
"""So many equal steps in a row are a choice of the operator (5 mm at the base, 10 mm above); fewer may be
lost slices: 5, 5, 10 is a hole."""

LOST_IN_A_ROW = 1_000
"""A gap of more slices is no loss but another place, another numbering, or a header that lies; the limit
also keeps what one header claims from filling the memory."""

LOST_IN_ALL = 10_000
"""More missing images than that are not listed, whatever the headers promise."""

FARTHEST_MM = 1e6
"""No patient lies a kilometre from the origin: such a position is garbage, and would overflow."""

OFF_LINE_PIXELS = 1.0
"""How far a first voxel may lie beside the line of the others, in pixels. Scanners shift the field of view
by less; slices that turn about an axis scatter by centimetres."""

NEIGHBOURHOOD = 3
"""An acquisition of at least so many images beside a gap is a volume of its own and not a rotation of the
tube that lost its neighbour."""
