"""The formulas, as functions of tensors: no model, no configuration, no device, no logging."""
