"""The loop without our trainer: a ResNet-18 learns scikit-learn's digits in one page, with only `models` and `ops`.

python examples/plain_training.py [EPOCHS]
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from sightline.models import create_model
from sightline.ops.images import normalise
from sightline.ops.losses import cross_entropy

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
torch.manual_seed(0)

digits = load_digits()
images = torch.from_numpy(digits.images / 16 * 255).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)  # (1797, 3, 8, 8)
images = interpolate(images, size=(32, 32), mode="bilinear")
images = normalise(images, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))  # float32, channels last
labels = torch.from_numpy(digits.target)
order = torch.randperm(len(images))
train, test = order[:1400], order[1400:]

model = create_model("resnet18", num_classes=10, stem="small_pooled").to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)

for epoch in range(epochs):
    model.train()
    for batch in train[torch.randperm(len(train))].split(64):
        loss = cross_entropy(model(images[batch]), labels[batch], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        predicted = torch.cat([model(images[batch]).argmax(dim=1) for batch in test.split(128)])
    print(
        f"epoch {epoch + 1}: loss {loss.item():.3f}, top-1 {(predicted == labels[test]).float().mean():.3f} of {len(test)} images"
    )
