"""All subjects by name."""

from benchmarks.growth import (
    components,
    devices,
    images,
    resolution,
    states,
    vocabulary,
    words,
)
from benchmarks.growth.subject import Subject

SUBJECTS: dict[str, Subject] = {
    'words': words.SUBJECT,
    'images': images.SUBJECT,
    'vocabulary': vocabulary.SUBJECT,
    'resolution': resolution.SUBJECT,
    'states': states.SUBJECT,
    'components': components.SUBJECT,
    'devices': devices.SUBJECT,
}
