import numpy as np
import numpy.typing as npt

def decode_nvfp4(packed: npt.NDArray[np.uint8], scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]: ...
