"""Every value, gradient and law test of the loss runs on every backend."""

import inspect

import pytest

from regdrop.losses.kernels import compiled, formula

BACKENDS = ["eager", "native", "compile"]

# torch.compile cannot trace the shape checks that tests put around every function: the formula goes without.
for _module in (compiled, formula):
    for _name, _function in inspect.getmembers(_module, inspect.isfunction):
        setattr(_module, _name, inspect.unwrap(_function))
for _name, _property in inspect.getmembers(formula.Inputs, lambda member: isinstance(member, property)):
    setattr(formula.Inputs, _name, property(inspect.unwrap(_property.fget)))


@pytest.fixture(params=BACKENDS)
def backend(request):
    return request.param
