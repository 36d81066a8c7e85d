"""Makes `import torchvision` possible where a CPU build of torch stands beside a CUDA build of torchvision.

timm and segmentation_models_pytorch import torchvision, whose import fails there with "operator torchvision::nms does
not exist". None of its compiled operators is used in this project, so declaring the two that its import asks for is
enough.
"""

import importlib.metadata

import torch

_library = None  # a torch.library.Library withdraws its operators when it is collected


def declare_missing_operators() -> None:
    """Declare the schemas of torchvision's operators where they cannot be loaded; otherwise do nothing.

    Call before the first import of torchvision. Raises no error if torchvision is absent: its importer will.
    """
    global _library
    if _library is not None or _operators_load():
        return
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


def _operators_load() -> bool:
    """Whether torchvision's own compiled operators fit this torch: both of one build, or already loaded."""
    if hasattr(torch.ops.torchvision, "nms"):
        return True
    files = importlib.metadata.files("torchvision") or []
    compiled = [
        file.locate() for file in files if file.match("torchvision/_C*.so") or file.match("torchvision/_C*.pyd")
    ]
    try:
        for file in compiled:
            torch.ops.load_library(file)
    except OSError:
        return False
    return bool(compiled)
