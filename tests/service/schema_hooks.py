"""Real pictures for schemathesis, which would send arbitrary bytes: half of all bodies, and of files in forms."""

import io

import schemathesis
from hypothesis import strategies as st
from PIL import Image


def _pictures() -> list[bytes]:
    pictures = []
    for kind in ("JPEG", "PNG", "WEBP"):
        buffer = io.BytesIO()
        Image.linear_gradient("L").resize((80, 60)).convert("RGB").save(buffer, kind)
        pictures.append(buffer.getvalue())
    return pictures


_REAL_OR_NOT = st.one_of(st.sampled_from(_pictures()), st.binary())

schemathesis.openapi.media_type("image/jpeg", _REAL_OR_NOT, aliases=["image/png", "image/webp"])
schemathesis.openapi.media_type("application/octet-stream", _REAL_OR_NOT)
schemathesis.openapi.format("binary", _REAL_OR_NOT)
