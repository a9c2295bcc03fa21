"""torch-fidelity for tests marked `peers`, also where the operators of torchvision, which it
imports, cannot load."""

from torch.library import Library

try:
    import torchvision  # noqa: F401
except (
    RuntimeError
):  # its wheel is for PyTorch with CUDA; none of its operators is called here, only declared
    MISSING = Library('torchvision', 'DEF')
    MISSING.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    MISSING.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')

import torch_fidelity  # noqa: E402, F401
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc  # noqa: E402, F401
