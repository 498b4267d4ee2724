"""The formulas, as functions of tensors: no model, configuration, device or logging."""
