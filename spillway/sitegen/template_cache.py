"""What earlier builds made of templates: the code they were compiled to, and what each of them asks for."""

from chalicelib.storefront.environment import Common, CompiledTemplates
from chalicelib.storefront.theme import Theme
from spillway.project import Project
from spillway.sitegen.build_cache import BuildCache, code_digest
from spillway.sitegen.page_jobs import USES


class TemplateCache:
    """Both are kept in the process, by whoever makes them; this takes them from one process to the next."""

    def __init__(self, project: Project) -> None:
        self._memory = BuildCache(project.cache / "templates.pickle", context=code_digest())
        CompiledTemplates.code.update(self._memory.get("code") or {})
        USES.update(self._memory.get("uses") or {})

    def save(self, theme: Theme) -> None:
        """Keep what was made of the templates of `theme`, which was rendered."""
        digests = [Common(theme, edition).digest for edition in theme.editions]
        self._memory.note("code", {digest: CompiledTemplates.code[digest] for digest in digests})
        texts = theme.templates.values()
        self._memory.note("uses", {text: USES[text] for text in texts if text in USES})
        self._memory.save()
