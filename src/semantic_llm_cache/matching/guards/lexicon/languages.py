"""Function words, negations and coordinators of ten languages, and how people ask for an answer language."""

from __future__ import annotations

from . import words
from .more_languages import MORE_NEGATIONS, MORE_NEGATIONS_TWICE

__all__ = [
    "ALSO_ENGLISH",
    "ANSWER_LANGUAGES",
    "CJK_LANGUAGES",
    "CJK_NEGATIONS",
    "CJK_NOT_NEGATIONS",
    "CONTENTLESS",
    "COORDINATORS",
    "DOUBLE_NEGATIVES",
    "DROPPED",
    "FUNCTION_WORDS",
    "NEGATIONS",
    "NEGATIVE_VERBS",
]

# Words of other languages that are English words, names or abbreviations too: a prompt is in another language only
# where another word, two numbers, or a letter beyond a-z show it. Left out is what begins many short prompts of its own
# language ("die").
ALSO_ENGLISH = words(
    "care come comment dove fare man men mine plus sense son van war "
    # Numbers: "rent due", "write once", "50 cent", "BA degree", "sept 5".
    "ba cent doi dos due dues elf elva fire firs hai hat lima ni once opt otto pet quince seize sept set sex sis six "
    "sto tri venti"
)

# Enough of each to tell which language a short prompt is in.
FUNCTION_WORDS: dict[str, frozenset[str]] = {
    lang: frozenset(words.split())
    for lang, words in {
        "en": "the a an of to in is are was were be i you he she it we they my your his her do does did what which "
        "who how why when where and or not for with on at by from this that these those can could should would "
        "will have has had if as than there any some me am been its our their about into between best get",
        "de": "der die das ein eine einen einem einer und oder nicht ist sind war ich du er sie wir ihr mein meine "
        "meinen wie was wer wo warum wann welche welcher welches für mit auf von zu zum zur im den dem des kann "
        "man es gibt kein keine wird werden hat haben bei nach aus über unter vor soll zwischen auch viele viel",
        "fr": "le la les un une des du de et ou ne pas est sont je tu il elle nous vous mon ma mes comment que quoi "
        "qui où pourquoi quand quel quelle quels quelles pour avec sur dans en au aux ce cette ces peut on sans "
        "plus sont être faire entre combien est-ce puis-je fait par se son sa",
        "es": "el la los las un una unos de del y o no es son yo tú él ella mi mis cómo como qué que quién dónde "
        "cuándo cuál cuáles por para con en al se puede puedo sin más está hay lo su sus cuánto cuántos cuántas "
        "entre desde hasta son ser hacer debo tengo",
        "pt": "o a os as um uma de do da dos das e ou não é são eu você ele ela meu minha como que qual quais quem "
        "onde quando por para com em no na nos nas ao se pode posso sem mais está há seu sua quanto quantos entre "
        "até fazer devo tenho pelo pela",
        "it": "il lo la i gli le un uno una di del della dei e o non è sono io tu lui lei mio mia come che cosa chi "
        "dove quando quale quali perché per con in al alla si può posso senza più nel nella su da dal tra quanto "
        "quanti fare devo ho",
        "nl": "de het een en of niet is zijn ik jij je hij zij we mijn hoe wat wie waar waarom wanneer welke voor "
        "met op van naar te in kan hoeveel zit zitten mag kun kunnen moeten vandaag "
        "men er geen wordt worden heeft hebben bij uit tussen moet veel ook aan",
        "pl": "i w na z do nie jest są ja ty on ona my jak co kto gdzie dlaczego kiedy jaki jaka jakie czy dla od po "
        "za przez się mogę można bez o ile który która które mój moja to ma mam między aby żeby",
    }.items()
}

NEGATIONS: dict[str, frozenset[str]] = {
    "en": words("not no never without neither nor none cannot nobody nothing nowhere hardly barely except non"),
    "de": words("nicht kein keine keinen keinem keiner keines ohne nie niemals nichts niemand"),
    "fr": words("pas sans jamais rien aucun aucune personne ni"),
    "es": words("no sin nunca jamás nada nadie ningún ninguna ninguno tampoco"),
    "pt": words("não sem nunca jamais nada ninguém nenhum nenhuma"),
    "it": words("non senza mai niente nulla nessuno nessuna nessun"),
    "nl": words("niet geen zonder nooit niets niemand"),
    "pl": words("nie bez nigdy nic nikt żaden żadna"),
    "ru": words("не нет без никогда ничего никто нельзя ни"),
    **MORE_NEGATIONS,
}
# French "personne" and the second half of a double negative would count twice.
DOUBLE_NEGATIVES: dict[str, frozenset[str]] = {
    "fr": words("rien jamais aucun aucune personne ni"),
    "es": words("nada nadie nunca ningún ninguna ninguno tampoco"),
    "pt": words("nada ninguém nunca nenhum nenhuma"),
    "it": words("mai niente nulla nessuno nessuna nessun"),
    "pl": words("nigdy nic nikt żaden żadna"),
    "ru": words("никогда ничего никто ни"),
    **MORE_NEGATIONS_TWICE,
}

# One of these on the other side may be what the negation says: "won't start" and "fails to start".
NEGATIVE_VERBS = words(
    "apart aside excluding excluded forget forgot forgotten "
    "stop avoid quit prevent lack lacking fail fails failing failed failure refuse unable impossible "
    "instead deny miss missing absent ban banned free forbid forbidden exclude excluding skip rid wrong "
    "problem trouble issue error hate dislike bad disable trouble struggle difficult hard hardly barely "
    "rarely cease disappear lose lost worse minus ignore decline reject little few less nobody nothing "
    "false incorrect myth illegal broken"
)

CJK_NEGATIONS: tuple[str, ...] = (
    "没有",
    "不能",
    "不是",
    "不会",
    "不要",
    "不可",
    "不用",
    "不",
    "没",
    "非",
    "无法",
    "未",
    "ません",
    "ない",
    "なく",
    "なし",
    "ず",
)
# Contain a negation's characters without negating.
CJK_NOT_NEGATIONS: tuple[str, ...] = (
    "不同", "差不多", "不过", "不仅", "不但", "对不起", "不错", "是不是", "能不能", "会不会", "要不要", "好不好",
    "可不可以", "有没有", "非常", "必ず", "まず", "はず", "少ない", "少なく", "ずっと", "しなければならない",
    "なければならない", "かもしれません", "不足", "未来", "非洲", "いずれ", "みず", "危ない", "なくては", "すみません",
    "ずつ", "なくなる", "切ない", "もったいない", "ではないでしょうか", "じゃないですか",
)  # fmt: skip

COORDINATORS = words(
    "and or vs versus v & , / ; nor und oder et ou y o e ed oraz i lub czy en и или 和 与 跟 或 と や か 、 ， ( ) "
    ": also known called named aka alias ie eg plus as well both sowie"
)

# Carry no content in any comparison of English prompts by their words.
CONTENTLESS = words(
    "the a an of to in is are was were be been being am i you he she it we they me him them my your his "
    "its our their do does did doing done what which who whom whose how why when where and or for with on "
    "at by from this that these those can could should would will shall may might must have has had "
    "having if as than there any some about into so just also please tell explain describe give show let "
    "us s t ve re ll d m one ones really very actually ever get"
)

# Left out before word order is compared.
DROPPED = words(
    "the an please do does did is are was were be been being am has have had can could would will should "
    "shall may might just also so that there kindly hey hi hello thanks thank exactly actually really der "
    "die das den dem ein eine einen le la les un une des el los las o os as um uma il lo gli i de het een"
)

_LANGUAGES: dict[str, str] = {
    "english": "english englisch anglais inglés inglês inglese engels angielsku английском",
    "german": "german deutsch allemand alemán alemão tedesco duits niemiecku немецком",
    "french": "french französisch français francés francês francese frans francusku французском",
    "spanish": "spanish spanisch espagnol español espanhol spagnolo spaans hiszpańsku испанском",
    "portuguese": "portuguese portugiesisch portugais portugués português portoghese portugees portugalsku "
    "португальском",
    "italian": "italian italienisch italien italiano italiaans włosku итальянском",
    "dutch": "dutch niederländisch holländisch néerlandais neerlandés holandés holandês olandese nederlands "
    "holendersku",
    "polish": "polish polnisch polonais polaco polonês polacco pools polsku польском",
    "russian": "russian russisch russe ruso russo rosyjsku русском",
    "chinese": "chinese mandarin cantonese chinesisch chinois chino chinês cinese chinees chińsku китайском",
    "japanese": "japanese japanisch japonais japonés japonês giapponese japans japońsku японском",
    "korean": "korean koreanisch coréen coreano koreaans koreańsku корейском",
    "arabic": "arabic arabisch arabe árabe arabo arabsku арабском",
    "hindi": "hindi",
    "urdu": "urdu",
    "bengali": "bengali bangla",
    "tamil": "tamil",
    "telugu": "telugu",
    "marathi": "marathi",
    "gujarati": "gujarati",
    "punjabi": "punjabi",
    "malayalam": "malayalam",
    "kannada": "kannada",
    "sanskrit": "sanskrit",
    "latin": "latin latein latín",
    "greek": "greek griechisch grec griego grego greco",
    "hebrew": "hebrew hebräisch hébreu hebreo hebraico ebraico",
    "turkish": "turkish türkisch turc turco",
    "swedish": "swedish schwedisch suédois sueco svedese",
    "norwegian": "norwegian norwegisch norvégien",
    "danish": "danish dänisch danois",
    "finnish": "finnish finnisch finnois",
    "czech": "czech tschechisch tchèque",
    "hungarian": "hungarian ungarisch hongrois",
    "romanian": "romanian rumänisch roumain",
    "ukrainian": "ukrainian ukrainisch ukrainien",
    "vietnamese": "vietnamese",
    "thai": "thai",
    "indonesian": "indonesian",
    "swahili": "swahili",
    "esperanto": "esperanto",
    "persian": "persian farsi",
}
ANSWER_LANGUAGES: dict[str, str] = {word: key for key, words in _LANGUAGES.items() for word in words.split()}

CJK_LANGUAGES: dict[str, str] = {
    "中文": "chinese",
    "汉语": "chinese",
    "中国語": "chinese",
    "英语": "english",
    "英文": "english",
    "英語": "english",
    "日语": "japanese",
    "日文": "japanese",
    "日本語": "japanese",
    "法语": "french",
    "フランス語": "french",
    "德语": "german",
    "ドイツ語": "german",
    "西班牙语": "spanish",
    "スペイン語": "spanish",
    "俄语": "russian",
    "ロシア語": "russian",
    "韩语": "korean",
    "韓国語": "korean",
    "意大利语": "italian",
    "イタリア語": "italian",
    "葡萄牙语": "portuguese",
    "ポルトガル語": "portuguese",
    "阿拉伯语": "arabic",
}
