"""Encrypted and signed backups: a stolen bucket tells nothing, and a restore knows who wrote what it reads."""
