"""scikit-learn's own checks of a transformer that does nothing but go through the door."""

from types import SimpleNamespace

from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

from skvae._data import Reader


class Door(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    def __init__(self, takes_categories=False):
        self.takes_categories = takes_categories

    def fit(self, X, y=None, sample_weight=None):
        likelihood = SimpleNamespace(takes_categories=self.takes_categories)
        self.reader_, _, columns = Reader.learn(self, X, likelihood, sample_weight)
        self.mean_ = columns.mean.numpy()
        return self

    def partial_fit(self, X, y=None, sample_weight=None):
        if not hasattr(self, "reader_"):
            return self.fit(X, y, sample_weight)
        self.reader_.read_on(self, X, sample_weight)
        return self

    def transform(self, X):
        check_is_fitted(self)
        rows = self.reader_.read(self, X)
        return rows.block(slice(None)) - self.mean_.astype(rows.dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@parametrize_with_checks([Door(), Door(takes_categories=True)])
def test_scikit_learn(estimator, check):
    check(estimator)
