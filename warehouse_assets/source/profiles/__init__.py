"""Source profiles: how a company's own tables or files give the contracted tables.

A profile is a folder with ``profile.yml`` and one SELECT per contracted table. Reading and judging such folders,
turning files into Arrow batches of the contracted columns, and which profile a warehouse is filled from (``choice``)
belong here, and so do the shipped profiles. Writing rows into ``raw`` or ``quarantine`` does not: that is ``extract``.
"""

from warehouse_assets.source.profiles.profile import (
    FilesProfile,
    PostgresProfile,
    Profile,
    open_profile,
    shipped_profiles,
)
from warehouse_assets.source.profiles.rejects import Reject

__all__ = ["FilesProfile", "PostgresProfile", "Profile", "Reject", "open_profile", "shipped_profiles"]
