"""The names of the jobs, apart from their definitions so that the command line knows them without loading Dagster."""

JOB_NAMES = ("everything", "route", "operational", "customer", "financial")
