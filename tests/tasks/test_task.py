import pytest

from regdrop.errors import RecipeError
from regdrop.tasks.task import TASKS, Task, find_task


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_listed_task_is_there(name):
    assert isinstance(find_task(name), Task)


def test_an_unknown_task_names_the_nearest():
    with pytest.raises(RecipeError, match="did you mean 'image_classification'"):
        find_task("image_classificaton")
