"""The names of the jobs, apart from their definitions so that the command line knows them without loading Dagster."""

#: The job that runs every asset: its success makes up for an earlier failure of any job.
EVERYTHING = "everything"
JOB_NAMES = (EVERYTHING, "route", "operational", "customer", "financial")
