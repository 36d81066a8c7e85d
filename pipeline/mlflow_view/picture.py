"""What a cell predicts of some test images, as one picture; those of several runs stand side by side in MLflow."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pipeline.measure.figures.colours import painted

SIDE, GAP, TITLE = 112, 6, 20  # pixels: longer side of an image, between images, and above them


def picture(images: np.ndarray, truths: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """A picture `h w 3` uint8 with a row per image: image `n h w 3`, true mask `n h w`, prediction; void is grey."""
    height, width = images.shape[1:3]
    scale = SIDE / max(height, width)
    size = round(scale * width), round(scale * height)
    sheet = Image.new("RGB", (3 * (size[0] + GAP) - GAP, TITLE + len(images) * (size[1] + GAP) - GAP), "white")
    text, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for column, title in enumerate(("image", "truth", "prediction")):
        text.text((column * (size[0] + GAP), 2), title, fill="black", font=font)
    for row, (image, truth, guess) in enumerate(zip(images, truths, predicted, strict=True)):
        for column, tile in enumerate((image, painted(truth, classes), painted(guess, classes))):
            # A mask must not be smoothed: between two classes lies the colour of a third.
            how = Image.Resampling.NEAREST if column or scale > 1 else Image.Resampling.BILINEAR
            place = column * (size[0] + GAP), TITLE + row * (size[1] + GAP)
            sheet.paste(Image.fromarray(np.ascontiguousarray(tile)).resize(size, how), place)
    return np.asarray(sheet)
