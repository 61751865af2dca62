"""The shape annotations of jaxtyping where it is installed (tests check them), plain tensors elsewhere."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Num
else:
    try:
        from jaxtyping import Bool, Float, Int, Num
    except ImportError:

        class _Unchecked:
            """Stand-in for `Float[Tensor, "items classes"]`: the tensor type alone."""

            def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
                return item[0]

        Bool = Float = Int = Num = _Unchecked

__all__ = ["Bool", "Float", "Int", "Num"]
