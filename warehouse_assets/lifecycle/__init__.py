"""What all models share after training: the registry of versions and which of them is in service.

How a model is fitted, scored and judged belongs in the model's own folder.
"""
