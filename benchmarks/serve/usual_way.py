"""The usual way to serve a network: FastAPI, eager PyTorch, torchvision's transforms, an exact index.

    python -m benchmarks.serve.usual_way --port 0 --sounds 100000

ResNet-18 in float32 with random weights: for speed alone. Pillow decodes pictures in full. As many requests are
computed at a time as there are CPUs, each with one thread of PyTorch, on the server's threads: the quickest of the
usual settings.
"""

import argparse
import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio.to_thread
import faiss
import torch
import uvicorn
from fastapi import FastAPI, File, UploadFile
from PIL import Image
from torchvision import transforms

from benchmarks.http.inputs import random_unit
from benchmarks.serve.resnet18 import SIZE, float_network
from model.threads import available_cpus
from model.torch_towers.networks import EMBEDDING_SIZE


def create_app(sounds: int) -> FastAPI:
    """The application: POST /recommend with the multipart field `image`."""
    network = float_network()
    index = faiss.IndexFlatIP(EMBEDDING_SIZE)
    index.add(random_unit(sounds, EMBEDDING_SIZE))
    transform = transforms.Compose(
        [
            transforms.Resize((SIZE, SIZE)),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = available_cpus()
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/recommend")
    def recommend(image: Annotated[UploadFile, File()], k: int = 10) -> dict[str, Any]:
        picture = transform(Image.open(io.BytesIO(image.file.read())).convert("RGB"))
        faiss.omp_set_num_threads(1)
        with torch.inference_mode():
            embedding = torch.nn.functional.normalize(network(picture[None])).numpy()
        similarities, rows = index.search(embedding, k)
        found = zip(rows[0].tolist(), similarities[0].tolist(), strict=True)
        return {"results": [{"id": row, "similarity": similarity} for row, similarity in found]}

    return app


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8001)
    parser.add_argument("--sounds", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    app = create_app(arguments.sounds)

    with socket.create_server(("127.0.0.1", arguments.port)) as listener:
        print(f"listens on http://127.0.0.1:{listener.getsockname()[1]} ({available_cpus()} CPUs)", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
