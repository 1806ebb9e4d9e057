"""What the commands of `warehouse` do: run and watch a job, start and stop servers, and tell what there is.

How a command is written and what it takes stands in ``cli``; what runs by itself, in ``operate``.
"""
