"""torch-fidelity for tests marked `peers`, even where the operators of torchvision cannot load.

torch-fidelity imports torchvision, whose wheel is for PyTorch with CUDA. None of its operators is
called here, so elsewhere they are only declared.
"""

from torch.library import Library

try:
    import torchvision  # noqa: F401
except RuntimeError:
    OPERATORS = Library('torchvision', 'DEF')
    OPERATORS.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
    OPERATORS.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')

import torch_fidelity  # noqa: E402, F401
from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc  # noqa: E402, F401
