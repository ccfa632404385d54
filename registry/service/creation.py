"""Making galleries: empty, and embedded by one version."""

from __future__ import annotations

from ..db import galleries, versions
from ..db.session import Connection, write
from ..domain.canonical import Json
from ..domain.events import EventKind, model_stream
from ..domain.galleries import Gallery, IndexSpec, Metric
from ..domain.promotions import SAME_SPACE, Serving
from ..domain.refs import VersionRef, check_name
from ..domain.versions import ModelVersion
from ..errors import AlreadyExistsError
from ..galleries import catalog
from .context import Context, resolve
from .pins import pin


def plan_gallery(
    context: Context,
    connection: Connection,
    name: str,
    version: str | VersionRef,
    metric: Metric,
    spec: IndexSpec,
) -> tuple[Gallery, ModelVersion]:
    """Return the gallery that would be made, with its first version.

    Raises:
        InvalidInputError: if the name cannot be one.
        NotFoundError: if the version or the index back end does not exist.
        AlreadyExistsError: if the name is taken.
    """
    check_name("gallery", name)
    if name in galleries.gallery_names(connection):
        raise AlreadyExistsError(f"there is a gallery {name!r} already")
    first = resolve(connection, version, context.trust)
    catalog.check_spec(spec, dim=first.dim, metric=metric)
    return Gallery(name, first.ref.model, metric, None, spec, context.clock(), ()), first


def create_gallery(
    context: Context, name: str, version: str | VersionRef, metric: Metric, spec: IndexSpec
) -> Gallery:
    """Make a gallery; errors as `plan_gallery`'s."""
    with write(context.engine) as connection:
        gallery, first = plan_gallery(context, connection, name, version, metric, spec)
        versions.model_id(connection, gallery.model, lock=True)
        galleries.insert_gallery(connection, gallery, context.actor)
        number = first.ref.number
        serving = Serving(number, (number,), {number: SAME_SPACE})
        payload: dict[str, Json] = {
            "gallery": name,
            "serving": serving.to_json(),
            "pinned": pin(connection, {number: first}, metric, serving),
        }
        stream = model_stream(gallery.model)
        context.record(connection, stream, EventKind.GALLERY_CREATED, payload)
    return gallery
