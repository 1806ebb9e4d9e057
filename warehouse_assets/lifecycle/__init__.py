"""What all models share after training: the registry of versions, which of them is in service, what pages show of them.

How a model is fitted, scored and judged belongs in the model's own folder.
"""
