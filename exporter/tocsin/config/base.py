"""What all models of the configuration share: frozen, strict about keys, and the texts that they are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from tocsin.config.types import FilePath, Ratio

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=10_000)]
ServiceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=200)]
AlertName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
Path = Annotated[FilePath, Field(min_length=1)]
Version = Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+(\.[0-9]+)?$")]
TokenHash = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
AccessKeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
SigningName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
PositiveInt = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
PositiveRatio = Annotated[Ratio, Field(gt=0)]
NonNegativeRatio = Annotated[Ratio, Field(ge=0)]


class Model(BaseModel):
    """Frozen, and strict about keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
