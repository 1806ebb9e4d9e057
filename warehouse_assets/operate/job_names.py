"""The names of the jobs, apart from their definitions so that the command line knows them without loading Dagster."""

#: The job that runs every asset; what it made up for, no other job has to.
EVERYTHING = "everything"
JOB_NAMES = (EVERYTHING, "route", "operational", "customer", "financial")
