"""What the pages of flows of the 8 x 8 digits share."""

SHAPE = (8, 8, 1)
CLASSES = 10
UNET = dict(width=32, multipliers=(1, 2), attend_at=(4,), blocks=1, channels_per_group=4)
