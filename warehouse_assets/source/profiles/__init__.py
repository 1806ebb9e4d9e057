"""Source profiles: how a company's own tables or files give the contracted tables.

A profile is a folder with ``profile.yml`` and one SELECT per contracted table. Reading and judging such folders, and
turning files into Arrow batches of the contracted columns, belongs here, and so do the shipped profiles. Writing rows
into ``raw`` or ``quarantine`` does not: that is ``extract``.
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
