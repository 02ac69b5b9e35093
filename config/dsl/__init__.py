"""The language of configs: typed, immutable objects with `{{references}}` that are filled late.

A drop-in for pystachio 0.8 with our own engine: the same names and the same order of substitution, but every
problem is reported at once with its path and place, and the cost grows with the size of a config, not with 2^depth.

    obj.check()        the first failure, in pystachio's words
    obj.interpolate()  (object, unbound refs)
    obj.resolve()      (plain data, unbound refs, problems) in one pass
"""

from config.dsl.choice import Choice
from config.dsl.containers import List, Map
from config.dsl.fields import Default, Empty, Required
from config.dsl.matcher import Matcher
from config.dsl.objects import (
    CoercionError,
    Object,
    Resolved,
    ShapeError,
    TypeCheck,
    resolve,
    unbound_problems,
)
from config.dsl.places import tracking
from config.dsl.ranges import (
    NonNegativeFloat,
    NonNegativeInteger,
    PositiveFloat,
    PositiveInteger,
    Range,
    StrictFloat,
    StrictInteger,
)
from config.dsl.refs import InvalidRefError, Namable, Ref, frozendict
from config.dsl.scopes import Environment
from config.dsl.structmeta import IsNotMappingError, UnknownFieldError
from config.dsl.structs import Struct
from config.dsl.templates import MustacheParser, Uninterpolatable
from config.dsl.typing import Type, TypeFactory
from config.dsl.values import Boolean, Enum, Float, Integer, String

#: What `from pystachio import *` gives a user's file.
LANGUAGE = (
    "Boolean",
    "Choice",
    "Default",
    "Empty",
    "Enum",
    "Environment",
    "Float",
    "Integer",
    "List",
    "Map",
    "MustacheParser",
    "Namable",
    "Ref",
    "Required",
    "String",
    "Struct",
    "Type",
    "TypeCheck",
    "TypeFactory",
)

__all__ = [
    "LANGUAGE",
    "Boolean",
    "Choice",
    "CoercionError",
    "Default",
    "Empty",
    "Enum",
    "Environment",
    "Float",
    "Integer",
    "InvalidRefError",
    "IsNotMappingError",
    "List",
    "Map",
    "Matcher",
    "MustacheParser",
    "Namable",
    "NonNegativeFloat",
    "NonNegativeInteger",
    "Object",
    "PositiveFloat",
    "PositiveInteger",
    "Range",
    "Ref",
    "Required",
    "Resolved",
    "ShapeError",
    "StrictFloat",
    "StrictInteger",
    "String",
    "Struct",
    "Type",
    "TypeCheck",
    "TypeFactory",
    "Uninterpolatable",
    "UnknownFieldError",
    "frozendict",
    "resolve",
    "tracking",
    "unbound_problems",
]
