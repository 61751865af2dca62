"""Every value, gradient and law test of the loss runs on every backend."""

import inspect

import pytest

from regdrop.losses.kernels import compiled, formula

BACKENDS = ["eager", "native", "compile"]

# torch.compile cannot trace the shape checks that tests put around every function: the formula goes without.
for _module in (compiled, formula):
    for _name, _function in inspect.getmembers(_module, inspect.isfunction):
        if _function is not compiled.compiled:  # which is not traced, and is wrapped in no_grad besides
            setattr(_module, _name, inspect.unwrap(_function))
for _name, _member in inspect.getmembers(formula.Inputs):
    if isinstance(_member, property):
        setattr(formula.Inputs, _name, property(inspect.unwrap(_member.fget)))
    elif inspect.isfunction(_member) and _member.__module__ == formula.__name__:
        setattr(formula.Inputs, _name, inspect.unwrap(_member))


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param
