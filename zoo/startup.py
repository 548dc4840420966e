"""How the project's commands start TensorFlow."""

import logging
import os


def configure_tensorflow(log_level: str = "3") -> None:
    """Sets TensorFlow's environment, where the user has not; to be called before TensorFlow is imported.

    Args:
        log_level: which messages of its C++ log are dropped: "2" all but errors, "3" these too.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", log_level)
    # By itself TensorFlow takes oneDNN's matrix products and convolutions only on CPUs with AVX-512 VNNI or AMX. With AVX2
    # alone they are faster as well, most of all on few images.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    logging.getLogger("tensorflow").addFilter(_is_no_retracing)


def _is_no_retracing(record: logging.LogRecord) -> bool:
    """Tells what is worth reading: TensorFlow takes functions that one line of code makes for one, traced time and again."""
    return "triggered tf.function retracing" not in record.getMessage()
