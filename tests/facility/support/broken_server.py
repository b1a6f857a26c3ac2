"""A device server that ends before it is ready."""

import sys

sys.exit("the crate has no power")
