"""From the source of a release to its pages: the same way for a build and for a release gone back to."""

import traceback
from collections.abc import Callable, Collection, Sequence, Set

from jinja2 import TemplateError, TemplateSyntaxError

from chalicelib.domain.form_stamp import FormStamps
from spillway.errors import BadInput
from spillway.sitegen.dates import Dates
from spillway.sitegen.edition_rendering import StockBySlug
from spillway.sitegen.output_dir import OutputDir
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError
from spillway.sitegen.release import Release, ReleaseSource, SiteObject
from spillway.sitegen.rendering import Rendering

Judge = Callable[[Set[str]], Sequence[InputError]]


def rendered(
    source: ReleaseSource,
    shelf: OutputDir,
    copies: Sequence[SiteObject],
    *,
    stock: StockBySlug,
    stamps: FormStamps | None,
    dates: Dates,
    pool: WorkerPool,
    judge: Judge | None = None,
) -> Release:
    """The release of `source` with its pages as they are for `stock`, on `shelf`, where `copies` of assets
    lie beside them. Forms bear `stamps`, if there are any; `dates` know of the release before. `judge` says
    what is wrong with what the merchant adds to the shop's own keys.

    Raises:
        BadInput: a template is wrong, or `judge` finds mistakes; what lay on the shelf still does.
    """
    try:
        rendering = Rendering(
            source.theme, source.products, source.contents, stock, stamps, dates, source.root_files
        )
        rendering.try_cloud_templates()
        own = rendering.jobs()
        keys = frozenset(each.key for each in own)
        _refuse(judge(keys) if judge else ())
        redirected = rendering.redirected(source.redirects, keys)
        in_output_dir = shelf.fill([*own, *rendering.files_at_the_root(), *redirected], copies, pool)
    except Exception as error:
        mistake = _template_mistake(error, source.theme.templates)
        if mistake is None:
            raise
        raise mistake from error
    there = {each.key for each in in_output_dir}
    elsewhere = [each for each in source.assets if each.key not in there]
    return Release(
        tuple(sorted((*in_output_dir, *elsewhere), key=lambda each: each.key)), source, dates=dates.pages
    )


def _refuse(mistakes: Sequence[InputError]) -> None:
    if mistakes:
        raise CatalogueInvalid(mistakes)


def _template_mistake(error: Exception, names: Collection[str]) -> BadInput | None:
    """Name the template and the line, which a syntax error knows and any other has in its trace.

    None when it was no template that failed.
    """
    if isinstance(error, TemplateSyntaxError):
        places = [(error.name or "", error.lineno)]
    else:
        trace = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.lineno or 0) for frame in trace if frame.filename in names]
    if not places and not isinstance(error, TemplateError):
        return None
    name, line = places[-1] if places else ("", 0)
    folder = "site" if name.startswith("emails/") else "site/templates"
    place = f"{folder}/{name}:{line}" if name else folder
    reason = "templates include each other without end" if isinstance(error, RecursionError) else str(error)
    return BadInput(f"{place}: {reason}", hint="correct the template and build again")
