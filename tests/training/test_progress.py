from types import SimpleNamespace

from regdrop.training.progress import EvaluationProgress, RunningMean, TrainingProgress

STATE = SimpleNamespace(global_step=2, max_steps=4, is_world_process_zero=True)


def test_a_person_sees_the_parts_of_the_loss_and_the_evaluations(capsys):
    with TrainingProgress() as bar:
        bar.on_train_begin(None, STATE, None)
        bar.on_step_end(None, STATE, None)
        bar.on_log(None, STATE, None, {"loss": 2.5, "task_loss": 2.0, "kl": 0.5})
        bar.on_log(None, STATE, None, {"eval_loss": 1.25, "eval_accuracy": 0.75, "eval_runtime": 3.0})
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "loss=2.5000, CE=2.0000, KL=0.5000" in shown.err
    assert "step 2: validation loss 1.2500, accuracy 0.7500\n" in shown.err
    assert "3/4" in shown.err


def test_without_r_drop_there_is_no_divergence_to_show(capsys):
    with TrainingProgress() as bar:
        bar.on_train_begin(None, STATE, None)
        bar.on_log(None, STATE, None, {"loss": 2.5, "task_loss": 2.5})
    assert "KL" not in capsys.readouterr().err


def test_an_evaluation_shows_its_running_loss(capsys):
    loss = RunningMean()
    bar = EvaluationProgress(loss)
    for total, weight in ((6.0, 6), (6.0, 2)):
        loss.add(total, weight)
        bar.on_prediction_step(None, STATE, None, eval_dataloader=range(2))
    bar.on_evaluate(None, STATE, None)
    shown = capsys.readouterr().err
    assert "loss=1.5000" in shown
    assert "2/2" in shown
