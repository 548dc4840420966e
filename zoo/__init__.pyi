# What a type checker sees of `cortexzoo`: at run time these names are imported when they are first used.
from cortexzoo.card import ModelCard as ModelCard
from cortexzoo.catalog import IntegrityError as IntegrityError
from cortexzoo.catalog import list_models as list_models
from cortexzoo.catalog import model_card as model_card
from cortexzoo.catalog import verify as verify
from cortexzoo.evaluation.adversarials import Adversarials as Adversarials
from cortexzoo.evaluation.api import attack as attack
from cortexzoo.evaluation.api import evaluate as evaluate
from cortexzoo.evaluation.result import Result as Result
from cortexzoo.export import export_model as export_model
from cortexzoo.images import ImageSource as ImageSource
from cortexzoo.images import open_images as open_images
from cortexzoo.loading import load_model as load_model

__all__ = [
    "Adversarials",
    "ImageSource",
    "IntegrityError",
    "ModelCard",
    "Result",
    "attack",
    "evaluate",
    "export_model",
    "list_models",
    "load_model",
    "model_card",
    "open_images",
    "verify",
]
__version__: str

def command_line() -> None: ...
