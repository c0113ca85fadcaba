"""LitServe with ONNX Runtime and the same model file: ``litserve_onnx.py MODEL PORT``."""

import io
import sys
from pathlib import Path
from typing import Any

import litserve as ls
import numpy as np
from fastapi import Request
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "rivals"))
from plain import Card


class Scenes(ls.LitAPI):
    """Batches of up to eight, gathered for at most five milliseconds."""

    def setup(self, device: str) -> None:
        """Open the model."""
        import onnxruntime as ort

        self.session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
        self.card = Card.of(self.session.get_modelmeta().custom_metadata_map)

    def decode_request(self, request: Request) -> Any:
        """Decode a photo."""
        image = Image.open(io.BytesIO(request["file"].file.read())).convert("RGB")
        size = (self.card.width, self.card.height)
        return np.asarray(image.resize(size, Image.Resampling.BILINEAR))

    def predict(self, x: Any) -> Any:
        """Classify a batch."""
        return self.session.run(None, {"image": np.stack(x)})[0]

    def encode_response(self, output: Any) -> dict[str, Any]:
        """Name the class."""
        best = int(output.argmax())
        return {"class": self.card.classes[best], "probability": float(output[best])}

    def batch(self, inputs: Any) -> Any:
        """As a list."""
        return inputs

    def unbatch(self, output: Any) -> Any:
        """Row by row."""
        return list(output)


if __name__ == "__main__":
    api = Scenes(max_batch_size=8, batch_timeout=0.005)
    ls.LitServer(api, accelerator="cpu").run(
        host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False, log_level="warning"
    )
