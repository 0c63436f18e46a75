"""Try an installed skvae, from any folder: ``python tests/smoke.py``.

Not a test of the suite: it is run against the wheel, where there is nothing else of the
repository, and so finds files and dependencies that the wheel lacks.
"""

import subprocess
import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits, load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skvae
from skvae.display import ManifoldDisplay


def main():
    assert skvae.__version__ == metadata.version("skvae")
    assert resources.files("skvae").joinpath("py.typed").is_file()
    reduce = make_pipeline(
        StandardScaler(), skvae.VariationalAutoencoder(max_epochs=2, random_state=0)
    )
    assert reduce.fit_transform(load_iris().data).shape == (150, 2)

    X = load_digits().data / 16
    vae = skvae.VariationalAutoencoder(image_shape=(8, 8), max_epochs=2, random_state=0).fit(X)
    assert vae.sample(3).shape == (3, 64)
    assert np.isfinite(vae.score(X))
    assert vae.model_card().startswith("---")
    with tempfile.TemporaryDirectory() as folder:
        vae.save(Path(folder, "digits.safetensors"))
        same = skvae.load(Path(folder, "digits.safetensors"))
        assert skvae.explore(vae, X[:50], path=Path(folder, "latent.html")).stat().st_size > 1e4
    assert (same.transform(X) == vae.transform(X)).all()
    ManifoldDisplay.from_estimator(vae, n=3).figure_.canvas.draw()

    loaded = "import sys, skvae; print('matplotlib' in sys.modules, 'onnx' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"], run.stdout
    print(f"skvae {skvae.__version__} works, from {Path(skvae.__file__).parent}")


if __name__ == "__main__":
    main()
