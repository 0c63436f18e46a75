"""
=======================
Digits from few labels
=======================

Somebody has labelled 50 of 1,300 images. ``VAEClassifier`` learns from all of them. From the 1,300
images it learns what digits look like, and from the 50 labels which digit is which.
"""

# %%
# Fifty labels
# ------------
# −1 means that an image has no label.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading

from skvae import VAEClassifier

X, y = load_digits(return_X_y=True)
X = X / 16
order = np.random.default_rng(0).permutation(len(X))
new, old = order[:497], order[497:]
labelled = np.concatenate([old[y[old] == digit][:5] for digit in range(10)])
few = np.full(len(X), -1)
few[labelled] = y[labelled]

classifier = VAEClassifier(random_state=0).fit(X[old], few[old])

# %%
# Accuracy
# --------
# This is the accuracy on new images. Logistic regression is trained on the 50 images with a label
# only. Here, the classifier does not know that the 64 columns are pixels of an image. If it does
# (``image_shape=(8, 8)``), it makes half as many errors, and takes a minute: the guide, *Few
# labels*, shows how.

linear = LogisticRegression(max_iter=1000).fit(X[labelled], y[labelled])
spreading = LabelSpreading(gamma=20).fit(X[old], few[old])
for model in (linear, spreading, classifier):
    print(f"{type(model).__name__:20} {model.score(X[new], y[new]):.3f}")

# %%
# The latent space
# ----------------
# The latent space has 16 components. The picture shows the two directions in which the predicted
# classes differ most; other directions separate the remaining ones. Circles are rows with a label.

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

Z_old = classifier.transform(X[old])
axes = LinearDiscriminantAnalysis(n_components=2).fit(Z_old, classifier.predict(X[old]))
Z, Z_labelled = (axes.transform(classifier.transform(X[rows])) for rows in (new, labelled))
fig, ax = plt.subplots(figsize=(6, 5), layout="constrained")
points = ax.scatter(*Z.T, c=y[new], cmap="tab10", s=8)
ax.scatter(*Z_labelled.T, c=y[labelled], cmap="tab10", s=60, edgecolors="black")
ax.legend(*points.legend_elements(), title="digit", loc="center left", bbox_to_anchor=(1, 0.5))
ax.set(title="497 new images", xlabel="first discriminant axis of z", ylabel="second")

# %%
# Draw a digit
# ------------
# ``sample(n, y=...)`` draws z from the region of the class and decodes it.

fig, axes = plt.subplots(4, 10, figsize=(8, 3.4), layout="constrained")
for digit, column in enumerate(axes.T):
    for image, ax in zip(classifier.sample(4, y=digit, mean=True), column, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r")
        ax.set_axis_off()
    column[0].set_title(digit)

# %%
# How sure it is
# --------------
# If the most probable class has a low probability, it is wrong more often. These are the rows that
# should be labelled next.

proba = classifier.predict_proba(X[new])
is_right = classifier.predict(X[new]) == y[new]
unsure = np.argsort(proba.max(1))[: len(new) // 5]
print(f"wrong among the fifth that is least sure: {np.mean(~is_right[unsure]):.2f}")
print(f"wrong among the others: {np.mean(~np.delete(is_right, unsure)):.2f}")
plt.show()
