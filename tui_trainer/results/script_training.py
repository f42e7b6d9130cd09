"""The pieces of a plain PyTorch script from the model on: weights, recipe and loop; those before are in `script`."""

from __future__ import annotations

LENET = '''

class LeNet(nn.Module):
    """Two convolutions and three fully connected layers."""

    def __init__(self):
        super().__init__()
        cells = ((SIZE - 2) // 2 - 2) // 2
        self.conv1 = nn.Conv2d(CHANNELS, 6, 3)
        self.conv2 = nn.Conv2d(6, 16, 3)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(16 * cells * cells, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, len(CLASSES))

    def forward(self, x):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x))).flatten(1)
        return self.fc3(torch.relu(self.fc2(torch.relu(self.fc1(x)))))

'''

NORMALIZE = '''
def normalize(images):
    """(N, C, S, S) uint8 to float32: x / (255 std) - mean / std."""
    shift, scale = -np.divide(MEAN, STD), 1 / (255 * np.array(STD))
    shift, scale = (torch.tensor(x, dtype=torch.float32, device=DEVICE)[:, None, None] for x in (shift, scale))
    return torch.addcmul(shift, images.to(DEVICE).float().contiguous(memory_format={layout}), scale)

'''

LAYOUTS = {False: "torch.contiguous_format", True: "torch.channels_last"}

LEARNING_RATE = '''
def learning_rate(epoch):
    """lr at a fractional epoch."""
{schedule}

'''

MIX = '''
def mix(images, targets, epoch, number):
    """Samples of a batch mixed with each other: (N, C, S, S) and shares of the classes (N, classes)."""
    before = torch.get_rng_state()
    torch.manual_seed(address(SEED, epoch, -1 - number))
    kinds = [{kinds}]
    images, targets = kinds[int(torch.randint(len(kinds), ()))](images, targets)
    torch.set_rng_state(before)
    return images, targets

'''

AVERAGE = '''
def average(averaged, now, updates):
    """Exponential moving average of the weights, whose decay grows to {decay}."""
    decay = min({decay}, (1 + int(updates)) / (10 + int(updates)))
    if averaged[0].is_floating_point():
        torch._foreach_lerp_(averaged, now, 1 - decay)
    else:
        torch._foreach_copy_(averaged, now)

'''

EVALUATE = '''
@torch.no_grad()
def evaluate(model, loss_func, loader):
    """Mean loss and top-1 over all samples."""
    model.eval()
    total = hits = count = 0
    for images, targets in loader:
        outputs, targets = model(normalize(images)), targets.to(DEVICE)
        total += loss_func(outputs, targets).double() * len(targets)
        hits, count = hits + (outputs.argmax(1) == targets).sum().item(), count + len(targets)
    return total.item() / count, hits / count

'''

SAMPLES = """\
    with open(HERE / "split.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    samples = [(DATA / row["path"], CLASSES.index(row["target"])) for row in rows]
    train, val = ([i for i, row in enumerate(rows) if row["part"] == part] for part in ("train", "val"))
    train_set, val_set = Images(samples, training=True), Images(samples, training=False)
"""

MODEL = """\
    torch.manual_seed(SEED)
    model = {model}
{load}    model.to(DEVICE{layout})
{frozen}"""

LOSS = """\
    loss_func = nn.CrossEntropyLoss({loss}).to(DEVICE)
"""

WEIGHTED_LOSS = """\
    class_weights = torch.tensor({weights!r}, device=DEVICE)

    def loss_func(outputs, targets):
        return functional.cross_entropy(outputs, targets, class_weights, reduction="none"{loss}).mean()

"""

OPTIMIZER = """\
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = {optimizer}
"""

EMA = """\
    ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=average, use_buffers=True)
"""

LOADERS = """\
    own = {{"num_workers": {workers}, "generator": torch.Generator()}}  # dropout alone draws from the global one
    val_loader = DataLoader(val_set, BATCH_SIZE, sampler=val, **own)
"""

EPOCH_LOADER = """\
        train_set.epoch, order = epoch, epoch_order(train, epoch)[:{samples}]
        loader = DataLoader(train_set, BATCH_SIZE, sampler=order, drop_last={drop_last}, **own)
"""

EPOCH = """\
        total = hits = count = 0
        model.train()
{still}        for batch, (images, targets) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch + batch / len(loader))
            {inputs}
            optimizer.zero_grad()
            outputs = model(images)
            loss = loss_func(outputs, targets)
            loss.backward()
{clip}            optimizer.step()
{after}            total += loss.detach().double() * len(targets)
            hits, count = hits + (outputs.argmax(1) == {true}).sum().item(), count + len(targets)
        val_loss, val_top1 = evaluate({kept}, loss_func, val_loader)
        print(f"epoch {{epoch + 1}}: train_loss {{total.item() / count:.8f}} train_top1 {{hits / count:.8f}}", end=" ")
        print(f"val_loss {{val_loss:.8f}} val_top1 {{val_top1:.8f}}", flush=True)
"""

MAIN = """
def main():
    torch.set_num_threads({threads})
{samples}
{model}{recipe}{loaders}
    for epoch in range(EPOCHS):
{epoch}    torch.save({kept}.state_dict(), HERE / "model.pth")


if __name__ == "__main__":
    main()
"""

SCHEDULES = {
    "none": "    return LR",
    "cosine": "    return LR * (1 + math.cos(math.pi * min(1, {done}))) / 2",
    "linear": "    return LR * (1 - min(1, {done}))",
    "step": "    return LR * {gamma} ** min({last_step}, math.floor((epoch - {warmup}) / {step_size} + 1e-9))",
    "multistep": "    return LR * {gamma} ** sum(epoch >= at - 1e-9 for at in {milestones})",
    "exponential": "    return LR * {gamma} ** math.floor(epoch - {warmup} + 1e-9)",
}
WARMUP = """\
    if epoch < {warmup}:
        return LR * (0.01 + 0.99 * epoch / {warmup})
"""
OPTIMIZERS = {
    "sgd": "torch.optim.SGD(parameters, lr=LR, momentum={momentum}, weight_decay={weight_decay}{more})",
    "adam": "torch.optim.Adam(parameters, lr=LR, weight_decay={weight_decay}{more})",
    "adamw": "torch.optim.AdamW(parameters, lr=LR, weight_decay={weight_decay}{more})",
    "rmsprop": "torch.optim.RMSprop(parameters, lr=LR, momentum={momentum}, weight_decay={weight_decay}{more})",
}
