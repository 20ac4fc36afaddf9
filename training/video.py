"""One frame out of a video file, through PyAV."""

from pathlib import Path

import av
from PIL import Image

from model.errors import PictureError


def middle_frame(path: Path) -> Image.Image:
    """The frame in the middle of the video, as RGB. Raises PictureError if the video cannot be read.

    The camera of Greatest Hits stands still (paper, 3.1), so that the middle is as good as any; it is found by
    seeking to the key frame before it, or by decoding all frames where the file does not know its length.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise PictureError(f"{path.name} has no video stream")
            stream = container.streams.video[0]
            if stream.duration is None:
                frames = list(container.decode(stream))
                if not frames:
                    raise PictureError(f"{path.name} has no frame")
                return _image(frames[len(frames) // 2])
            middle = (stream.start_time or 0) + stream.duration // 2
            container.seek(middle, stream=stream)
            last = None
            for frame in container.decode(stream):
                last = frame
                if frame.pts is not None and frame.pts >= middle:
                    break
            if last is None:
                raise PictureError(f"{path.name} has no frame")
            return _image(last)
    except FileNotFoundError as error:
        raise PictureError(f"{path.name} is missing") from error
    except av.FFmpegError as error:
        raise PictureError(f"{path.name} cannot be decoded: {error.strerror}") from error


def _image(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))
