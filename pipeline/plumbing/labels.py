"""The one convention about masks that everything here shares."""

IGNORE = 255  # the value of void pixels: neither trained on nor judged
