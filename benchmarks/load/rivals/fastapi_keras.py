"""FastAPI with a call of Keras for each request: ``fastapi_keras.py MODEL PORT``.

What most published projects do. Xception has random weights, on which no speed depends.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "rivals"))
from keras_model import load
from plain import Card

card = Card.from_file(Path(sys.argv[1]))
model = load(None, card)
app = FastAPI()


@app.post("/predict")
def predict(file: UploadFile) -> dict[str, Any]:
    """Classify a photo."""
    image = Image.open(io.BytesIO(file.file.read())).convert("RGB")
    pixels = np.asarray(image.resize((card.width, card.height), Image.Resampling.BILINEAR))
    (row,) = model.predict(pixels[np.newaxis], verbose=0)
    best = int(row.argmax())
    return {"class": card.classes[best], "probability": float(row[best])}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
