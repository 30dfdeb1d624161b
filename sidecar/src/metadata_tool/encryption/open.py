"""Opens stores with the keys of their backups."""

from metadata_tool.encryption.keyed_store import KeyedStore
from metadata_tool.settings import StoreSettings
from metadata_tool.store import Store, open_store


def open_keyed(settings: StoreSettings) -> Store:
    """The store, whose encrypted backups are opened with the keys of the settings. No request is made yet.

    Raises:
        SettingError: boto3's own settings are wrong.
    """
    return KeyedStore(open_store(settings.location, settings.options), settings.keys)
