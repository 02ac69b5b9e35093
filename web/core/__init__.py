"""Pure parts: pictures, log colours, words. Values in, markup out."""
