"""Every key, once: bindings, footer and help are made from this table."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True)
class Key:
    """What a key does. `label` is for the footer, `help` for the help screen and tooltips."""

    key: str
    action: str
    label: str
    help: str
    show: bool = True
    first: bool = False  # before the widget that has the keys: what is typed right behind it comes after it


STEPS = ("data", "loader", "weights", "recipe", "train")
EVERYWHERE = (
    Key("1", "go('data')", "Data", "choose the dataset folder, see what is in it", show=False),
    Key("2", "go('loader')", "Loader", "set the DataLoader options", show=False),
    Key("3", "go('weights')", "Weights", "choose the model and what to load into it", show=False),
    Key("4", "go('recipe')", "Recipe", "set epochs, optimizer, schedule", show=False),
    Key("5", "go('train')", "Train", "watch and steer the training", show=False),
    Key("0,h", "go('home')", "Home", "last runs, sample data", show=False),
    Key("ctrl+r", "start", "Start", "start training with what is on the screens"),
    Key("question_mark", "help", "Help", "every key of this screen and of all others"),
    Key("ctrl+t", "next_theme", "Theme", "the next colour theme", show=False),
    Key("q", "leave", "Quit", "leave; while training it asks first (ctrl+q and ctrl+c too)"),
)
FORM = (
    Key("enter", "edit", "Edit", "change the setting under the cursor"),
    Key("right,space", "cycle(1)", "Next", "the next choice, or one more", show=False),
    Key("left", "cycle(-1)", "Back", "the choice before, or one less", show=False),
    Key("backspace,delete", "reset", "Default", "back to the default"),
)
LAYERS = (
    Key("space", "screen.tick", "Load?", "load the layer or subtree under the cursor, or leave it out"),
    Key("f", "screen.freeze", "Freeze", "freeze the layer or subtree under the cursor, or let it train"),
    Key("slash", "screen.filter", "Filter", "show only some layers; tab there changes to regular expressions"),
    Key("tab,shift+tab", "screen.other_side", "Settings", "back to the settings"),
    Key("a", "screen.all(True)", "All", "load all layers that are shown and fit", show=False),
    Key("n", "screen.all(False)", "None", "load none of the layers that are shown", show=False),
    Key(
        "i", "screen.invert", "Invert", "load what is left out of the layers shown, and the other way round", show=False
    ),
    Key("up,k", "move(-1)", "Up", "the row above", show=False),
    Key("down,j", "move(1)", "Down", "the row below", show=False),
    Key("pageup", "page(-1)", "Page up", "a page up", show=False),
    Key("pagedown", "page(1)", "Page down", "a page down", show=False),
    Key("home", "move(-1000000)", "First", "the first row", show=False),
    Key("end", "move(1000000)", "Last", "the last row", show=False),
    Key("right", "fold(True)", "Open", "open the subtree", show=False),
    Key("left", "fold(False)", "Close", "close the subtree, or go to the one that holds this layer", show=False),
    Key("enter", "fold", "Fold", "open or close the subtree", show=False),
)
CHART = (  # where it has the focus; on the screens of a run their own keys move all charts together
    Key("left", "move_crosshair(-1)", "Back", "crosshair to the sample before", show=False),
    Key("right", "move_crosshair(1)", "On", "crosshair to the next sample", show=False),
    Key("shift+left", "move_crosshair(-10)", "Far back", "ten columns back", show=False),
    Key("shift+right", "move_crosshair(10)", "Far on", "ten columns on", show=False),
    Key("escape", "clear_crosshair", "No crosshair", "take the crosshair away", show=False),
    Key("z", "zoom_in", "Zoom in", "half the epochs, around the crosshair", show=False),
    Key("Z", "zoom_out", "Zoom out", "twice the epochs", show=False),
    Key("end", "follow", "Follow live", "show the whole run and follow it", show=False),
    Key("y", "toggle_log", "Log scale", "logarithmic or linear y axis", show=False),
    Key("plus", "smoother(1)", "Smoother", "average over more samples", show=False),
    Key("minus", "smoother(-1)", "Rougher", "average over fewer samples", show=False),
)


def code(step: str) -> Key:
    """The key for the code that a step stands for."""
    help_ = "the plain PyTorch code that this screen stands for, to copy"
    return Key("ctrl+e", f"app.code('{step}')", "Code", help_, show=False)


SCREENS: dict[str, tuple[Key, ...]] = {
    "home": (
        Key("n", "new", "New run", "choose a dataset folder"),
        Key("s", "sample", "Sample data", "try it with the handwritten digits that come along"),
        Key("enter", "open", "Open", "look at the run under the cursor"),
        Key("r", "resume", "Resume", "go on with the run under the cursor"),
        Key("o", "open_config", "Open config", "fill the screens with a TOML file", show=False),
        Key("c", "copy_config", "Same again", "a new run with the settings of the run under the cursor"),
        Key("space", "mark", "Mark", "mark a run, to compare it with others"),
        Key("v", "compare", "Compare", "curves and settings of the marked runs side by side"),
        Key("slash", "filter", "Filter", "show only the runs with these words", show=False, first=True),
        Key("S", "sort", "Sort", "by time, by the best result, by name ... or as a tree of branches", show=False),
        Key("N", "note", "Note", "write down what is to be remembered of a run", show=False),
        Key("R", "rename", "Rename", "give a run another name", show=False),
        Key("P", "report", "Page", "test the run and write one HTML page about it", show=False),
        Key("D", "delete", "Delete", "remove a run with its checkpoints; asks first", show=False),
    ),
    "compare": (
        Key("right_square_bracket", "difference(1)", "Next diff", "jump to the next setting that differs"),
        Key("left_square_bracket", "difference(-1)", "Last diff", "jump to the one before"),
        Key("m", "metric", "Metric", "the metric that counts, the validation loss, the loss of the steps"),
        Key("comma", "crosshair(-1)", "Crosshair", "move the crosshair to the left", show=False),
        Key("full_stop", "crosshair(1)", "Crosshair", "move the crosshair to the right"),
        Key("y", "log_scale", "Log y", "logarithmic y axis", show=False),
        Key("escape", "back", "Back", "to the list of runs"),
    ),
    "data": (
        Key("slash", "path", "Folder", "type the dataset folder; right arrow completes", first=True),
        Key("t", "tree", "Browse", "choose the folder in a tree"),
        Key("r", "redraw", "Redraw", "another draw of sample images, augmented as in training"),
        code("data"),
    ),
    "loader": (
        Key("m", "measure", "Measure", "images per second by threads, workers and precision"),
        Key("m", "stop_measuring", "Stop", "stop measuring"),
        Key("b", "first_batch", "Batch", "the first batch: shapes, types, range of values, time"),
        Key("u", "use", "Use", "take the workers, threads and precision that are recommended"),
        Key("j", "scroll(1)", "Down", "scroll the right side down", show=False),
        Key("k", "scroll(-1)", "Up", "scroll the right side up", show=False),
        Key("ctrl+r", "start", "Start", "start training; measuring ends first"),
        code("loader"),
    ),
    "weights": (
        Key("tab,shift+tab", "other_side", "Layers", "from the settings to the layers, and back"),
        Key("o", "file", "File", "choose the weight file: own runs, files found here, torchvision's weights"),
        Key("m", "search", "Model", "choose a model by a part of its name"),
        Key("p", "preset", "Presets", "the same structure but for some layers; whatever fits"),
        Key("slash", "filter", "Filter", "show only some layers; tab there changes to regular expressions", show=False),
        Key("c", "adapters", "Fitting", "which layers of another shape are made to fit", show=False),
        Key("w", "which", "Which", "which of the file's weights are meant, where several fit", show=False),
        Key("d", "download", "Download", "fetch torchvision's weights now; again: stop", show=False),
        code("weights"),
    ),
    "recipe": (
        Key("v", "command", "Command", "the command line and the TOML file for these settings"),
        Key("d", "dry_run", "Dry step", "one step to know time and memory"),
        Key("l", "lr_test", "LR test", "train at growing learning rates and see which do; again: back"),
        Key("u", "use_lr", "Use", "take the learning rate that the test suggests"),
        Key("b", "app.start_background", "Background", "start in a process of its own that outlives this terminal"),
        code("recipe"),
    ),
    "train": (
        Key("space", "pause", "Pause", "pause after this step, or go on"),
        Key("s", "stop", "Stop", "finish the step, save a checkpoint, end"),
        Key("c", "checkpoint", "Checkpoint", "save a checkpoint now"),
        Key("v", "evaluate", "Evaluate", "measure the validation part now", show=False),
        Key("e", "edit", "Edit", "change lr, epochs or patience while it runs"),
        Key("d", "app.detach", "Detach", "let the run go on in the background, without these screens", show=False),
        Key("T", "results('')", "Test", "test the trained model: figures for each class"),
        Key("C", "results('confusion')", "Confusion", "which classes it takes for which"),
        Key("t", "try_image", "Try", "what the trained model says of an image"),
        Key("x", "export", "Export", "to safetensors, ONNX or pt2, verified on validation images"),
        Key("n", "new_run", "New", "another dataset, a new run", show=False),
        Key("r", "resume_run", "Resume", "go on with this run after it has stopped or failed", show=False),
        Key("a", "abort", "Abort", "end now; the last checkpoint stays", show=False),
        Key("m", "metric", "Metric", "both charts, the loss alone, top-1 alone", show=False),
        Key("y", "log_scale", "Log y", "logarithmic y axis", show=False),
        Key("plus", "smooth(1)", "Smooth", "more smoothing", show=False),
        Key("minus", "smooth(-1)", "Raw", "less smoothing", show=False),
        Key("left", "crosshair(-1)", "Crosshair", "move the crosshair to the left", show=False),
        Key("right", "crosshair(1)", "Crosshair", "move the crosshair to the right", show=False),
        Key("shift+left", "crosshair(-10)", "Crosshair", "ten columns to the left", show=False),
        Key("shift+right", "crosshair(10)", "Crosshair", "ten columns to the right", show=False),
        Key("z", "zoom(1)", "Zoom", "zoom in at the crosshair; the view stays", show=False),
        Key("Z", "zoom(-1)", "Zoom out", "zoom out", show=False),
        Key("end", "follow", "Live", "follow the run again", show=False),
        Key("l", "log", "Log", "the whole log", show=False),
        Key("i", "advice", "Advice", "show or hide the line of advice", show=False),
        Key("escape", "clear", "Clear", "take the crosshair away", show=False),
    ),
    "results": (
        Key("c", "confusion", "Confusion", "the confusion matrix, and the pictures behind it"),
        Key("w", "hardest", "Worst", "the samples with the greatest loss"),
        Key("o", "order", "Order", "the worst classes first, or all in their order"),
        Key("p", "part", "Part", "test the next part: val, test, train"),
        Key("t", "try_image", "Try", "what the trained model says of an image"),
        Key("x", "export", "Export", "to safetensors, ONNX or pt2, verified on validation images", show=False),
        Key("escape", "back", "Back", "to the run"),
    ),
    "confusion": (
        Key("enter", "look", "Look", "the pictures behind the cell or the pair"),
        Key("n", "next_pair(1)", "Next", "the next pair of classes that is mixed up"),
        Key("N", "next_pair(-1)", "Before", "the pair before", show=False),
        Key("o", "order", "Order", "the classes with most errors first, or in their order"),
        Key("tab", "app.focus_next", "List", "from the matrix to the list of pairs, and back"),
        Key("escape", "back", "Back", "to where you came from"),
    ),
    "look": (
        Key("left", "move(-1,0)", "Left", "the picture before", show=False),
        Key("right", "move(1,0)", "Right", "the next picture", show=False),
        Key("up", "move(0,-1)", "Up", "the row above", show=False),
        Key("down", "move(0,1)", "Down", "the row below", show=False),
        Key("pagedown", "page(1)", "Page", "the next page"),
        Key("pageup", "page(-1)", "Page up", "the page before", show=False),
        Key("x", "mark", "Mislabelled", "mark as labelled wrongly: kept in mislabelled.csv in the run folder"),
        Key("escape", "back", "Back", "to where you came from"),
    ),
    "try": (Key("escape", "close", "Close", "back to where you came from"),),
    "export": (Key("escape", "close", "Close", "back to where you came from"),),
}


def bindings(keys: tuple[Key, ...]) -> list[BindingType]:
    """The same for Textual."""
    return [Binding(k.key, k.action, k.label, show=k.show, tooltip=k.help, priority=k.first) for k in keys]
