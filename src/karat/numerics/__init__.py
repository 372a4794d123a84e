"""Pure numerics: arrays in, arrays or small frozen records out; numpy and scipy only, no files, no models, no seeds."""
