"""The pieces of a plain script that are other ones where rows of a table are learned, or numbers are predicted."""

from __future__ import annotations

HEAD = '''\
"""Run {name} of tui-trainer as plain PyTorch: the same rows, order, weights and curve.

Needs torch and numpy. Beside this file lie split.csv (which row is in which part) and rows.npz: inputs and targets as
the table was read, in which a text is a column of 0 and 1 for each of its values.
"""

import csv
import math
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

HERE = Path(__file__).resolve().parent
INPUTS = {inputs!r}
{outputs}
SEED, EPOCHS, BATCH_SIZE, LR = {seed}, {epochs}, {batch_size}, {lr!r}
MEAN, STD = {mean!r}, {std!r}
DEVICE = torch.device({device!r})
'''

MLP = '''

class MLP(nn.Module):
    """Fully connected layers with ReLU between them."""

    def __init__(self):
        super().__init__()
{layers}
    def forward(self, x):
{hidden}        return self.{last}(x)

'''

NORMALIZE = '''
def normalize(rows):
    """(N, F) to (x - mean) / std for each input."""
    return (rows.to(DEVICE) - torch.tensor(MEAN, device=DEVICE)) / torch.tensor(STD, device=DEVICE)

'''

SAMPLES = """\
    with open(HERE / "split.csv", encoding="utf-8", errors="surrogateescape", newline="") as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    train, val = ([i for i, name in enumerate(parts) if name == part] for part in ("train", "val"))
    inputs, targets = (torch.from_numpy(np.load(HERE / "rows.npz")[name]) for name in ("inputs", "targets"))
{standardized}    train_set = val_set = TensorDataset(inputs, targets)
"""
STANDARDIZED = "    targets = (targets - torch.tensor(TARGET_MEAN)) / torch.tensor(TARGET_STD)\n"

R2 = '''
def r2(outputs, targets):
    """Coefficient of determination of all samples (M, K), averaged over the K numbers."""
    outputs, targets = torch.cat(outputs).double(), torch.cat(targets).double()
    total, squares = targets.sum(0), (targets * targets).sum(0)
    return (1 - ((outputs - targets) ** 2).sum(0) / (squares - total * total / len(targets))).mean().item()


@torch.no_grad()
def evaluate(model, loss_func, loader):
    """Mean loss and R2 over all samples."""
    model.eval()
    total, said, true = 0, [], []
    for rows, targets in loader:
        outputs, targets = model(normalize(rows)), targets.to(DEVICE)
        total += loss_func(outputs, targets).double() * len(targets)
        said.append(outputs)
        true.append(targets)
    return total.item() / sum(map(len, true)), r2(said, true)

'''

EPOCH = """\
        total, said, true = 0, [], []
        model.train()
{still}        for batch, (rows, targets) in enumerate(loader):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(epoch + batch / len(loader))
            rows, targets = normalize(rows), targets.to(DEVICE)
            optimizer.zero_grad()
            outputs = model(rows)
            loss = loss_func(outputs, targets)
            loss.backward()
{clip}            optimizer.step()
{after}            total += loss.detach().double() * len(targets)
            said.append(outputs.detach())
            true.append(targets)
        val_loss, val_r2 = evaluate({kept}, loss_func, val_loader)
        train_loss = total.item() / sum(map(len, true))
        print(f"epoch {{epoch + 1}}: train_loss {{train_loss:.8f}} train_r2 {{r2(said, true):.8f}}", end=" ")
        print(f"val_loss {{val_loss:.8f}} val_r2 {{val_r2:.8f}}", flush=True)
"""
LOSSES = {"auto": "MSELoss", "mse": "MSELoss", "l1": "L1Loss", "huber": "HuberLoss"}
