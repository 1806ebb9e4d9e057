"""The migrations, one numbered pair of files each; nothing else belongs here."""
