"""Words for points in time, mapped to one key for all languages."""

from __future__ import annotations

from . import in_order

__all__ = ["CJK_TIME_WORDS", "FOREIGN_ONLY", "OPTIONAL_TIMES", "TIME_PHRASES", "TIME_WORDS"]

_ANY = {  # words that mean nothing else in the languages listed
    "today": "today heute aujourd'hui aujourdhui hoy hoje oggi vandaag dzisiaj dziś сегодня",
    "tomorrow": "tomorrow tmrw demain mañana amanhã domani jutro завтра",
    "yesterday": "yesterday gestern hier ayer ontem ieri gisteren wczoraj вчера",
    "overmorrow": "übermorgen послезавтра pojutrze overmorgen",
    "tonight": "tonight сегодня-вечером",
    "morning": "morning mornings morgens утром mattina rano matin manhã ochtend",
    "afternoon": "afternoon nachmittag tarde pomeriggio middag",
    "evening": "evening evenings abend abends abendessen soir sera wieczorem вечером avond noite",
    "noon": "noon midday mittag midi mediodía mezzogiorno",
    "midnight": "midnight mitternacht minuit medianoche mezzanotte полночь",
    "monday": "monday mondays montag lundi lunes segunda-feira lunedì maandag poniedziałek понедельник понедельника",
    "tuesday": "tuesday tuesdays dienstag mardi martes terça-feira martedì dinsdag wtorek вторник вторника",
    "wednesday": "wednesday wednesdays mittwoch mercredi miércoles quarta-feira mercoledì woensdag środa środę "
    "среда среду",
    "thursday": "thursday thursdays donnerstag jeudi jueves quinta-feira giovedì donderdag czwartek четверг",
    "friday": "friday fridays freitag vendredi viernes sexta-feira venerdì vrijdag piątek пятница пятницу",
    "saturday": "saturday saturdays samstag sonnabend samedi sábado sabato zaterdag sobota sobotę суббота субботу",
    "sunday": "sunday sundays sonntag dimanche domingo domenica zondag niedziela niedzielę воскресенье",
    "january": "january jan januar janvier enero janeiro gennaio januari stycznia styczeń январь января январе",
    "february": "february feb februar février febrero fevereiro febbraio februari lutego luty февраль февраля",
    "march": "märz mars marzo março maart marca marzec март марта марте",
    "april": "april avril abril aprile kwietnia kwiecień апрель апреля апреле",
    "may": "maggio mayo maio maj май мая",
    "june": "june juni juin junio junho giugno czerwca czerwiec июнь июня июне",
    "july": "july juli juillet julio julho luglio lipca lipiec июль июля июле",
    "august": "août agosto augustus sierpnia sierpień август августа августе",
    "september": "september sept septembre septiembre setembro settembre września wrzesień сентябрь сентября",
    "october": "october oktober octobre octubre outubro ottobre października październik октябрь октября",
    "november": "november nov novembre noviembre novembro listopada listopad ноябрь ноября",
    "december": "december dezember décembre diciembre dezembro dicembre grudnia grudzień декабрь декабря",
    "summer": "summer sommer été verano verão estate zomer lato latem лето летом",
    "winter": "winter hiver invierno inverno zima zimą зима зимой",
    "autumn": "autumn herbst automne otoño outono autunno herfst jesień jesienią осень осенью",
    "spring": "printemps primavera frühling lente wiosna wiosną весна весной",
    "weekend": "weekend weekends wochenende",
    "weekday": "weekday weekdays",
    "christmas": "christmas xmas weihnachten noël navidad natal natale kerst",
    "easter": "easter ostern pâques pascua páscoa pasqua",
    "thanksgiving": "thanksgiving",
    "halloween": "halloween",
    "diwali": "diwali",
    "ramadan": "ramadan ramadhan",
}

TIME_WORDS: dict[str, str] = {word: key for key, words in _ANY.items() for word in words.split()}
# The same spelling means an ordinary thing in English: read only in texts of another language.
for _word in ("hier", "mars", "mayo", "sera", "lente", "estate", "tarde", "maj", "marca", "lato", "natal"):
    TIME_WORDS.pop(_word, None)
FOREIGN_ONLY: dict[str, dict[str, str]] = {
    "fr": {"hier": "yesterday", "mars": "march", "mai": "may", "été": "summer"},
    "de": {"morgen": "tomorrow", "mai": "may", "august": "august"},
    "nl": {"morgen": "tomorrow", "mei": "may", "lente": "spring"},
    "es": {"mayo": "may", "tarde": "afternoon", "noche": "night"},
    "pt": {"tarde": "afternoon"},
    "it": {"sera": "evening", "estate": "summer"},
    "pl": {"maj": "may", "maja": "may", "lato": "summer", "marca": "march"},
}

# Word sequences; the longest wins.
TIME_PHRASES: dict[tuple[str, ...], str] = {}
_UNIT_WORDS = in_order("week month year night weekend summer winter quarter semester decade century")
for _unit in [*_UNIT_WORDS, *in_order("monday tuesday wednesday thursday friday saturday sunday")]:
    TIME_PHRASES[("last", _unit)] = f"last {_unit}"
    TIME_PHRASES[("past", _unit)] = f"last {_unit}"
    TIME_PHRASES[("previous", _unit)] = f"last {_unit}"
    TIME_PHRASES[("next", _unit)] = f"next {_unit}"
    TIME_PHRASES[("following", _unit)] = f"next {_unit}"
    TIME_PHRASES[("coming", _unit)] = f"next {_unit}"
    TIME_PHRASES[("upcoming", _unit)] = f"next {_unit}"
    TIME_PHRASES[("this", _unit)] = f"this {_unit}"
    TIME_PHRASES[("current", _unit)] = f"this {_unit}"
TIME_PHRASES.update(
    {
        ("day", "after", "tomorrow"): "overmorrow",
        ("day", "before", "yesterday"): "ereyesterday",
        ("vor", "gestern"): "ereyesterday",
        ("après", "demain"): "overmorrow",
        ("pasado", "mañana"): "overmorrow",
        ("at", "night"): "night",
        ("by", "night"): "night",
        ("at", "dawn"): "dawn",
        ("at", "dusk"): "dusk",
        ("nächste", "woche"): "next week",
        ("nächsten", "monat"): "next month",
        ("nächstes", "jahr"): "next year",
        ("letzte", "woche"): "last week",
        ("letzten", "monat"): "last month",
        ("letztes", "jahr"): "last year",
        ("diese", "woche"): "this week",
        ("dieses", "jahr"): "this year",
        ("semaine", "prochaine"): "next week",
        ("mois", "prochain"): "next month",
        ("année", "prochaine"): "next year",
        ("semaine", "dernière"): "last week",
        ("mois", "dernier"): "last month",
        ("année", "dernière"): "last year",
        ("próxima", "semana"): "next week",
        ("semana", "próxima"): "next week",
        ("semana", "que", "viene"): "next week",
        ("próximo", "año"): "next year",
        ("próximo", "mes"): "next month",
        ("semana", "pasada"): "last week",
        ("año", "pasado"): "last year",
        ("mes", "pasado"): "last month",
        ("semana", "que", "vem"): "next week",
        ("ano", "que", "vem"): "next year",
        ("próximo", "ano"): "next year",
        ("semana", "passada"): "last week",
        ("ano", "passado"): "last year",
        ("prossima", "settimana"): "next week",
        ("settimana", "prossima"): "next week",
        ("settimana", "scorsa"): "last week",
        ("scorsa", "settimana"): "last week",
        ("anno", "scorso"): "last year",
        ("prossimo", "anno"): "next year",
        ("anno", "prossimo"): "next year",
        ("volgende", "week"): "next week",
        ("vorige", "week"): "last week",
        ("volgend", "jaar"): "next year",
        ("vorig", "jaar"): "last year",
        ("przyszłym", "tygodniu"): "next week",
        ("zeszłym", "tygodniu"): "last week",
        ("przyszłym", "roku"): "next year",
        ("zeszłym", "roku"): "last year",
        ("следующей", "неделе"): "next week",
        ("прошлой", "неделе"): "last week",
        ("следующем", "году"): "next year",
        ("прошлом", "году"): "last year",
    }
)

# Said or left out, the question is the same: now is what an unmarked question asks about.
OPTIONAL_TIMES = frozenset(
    ("today", "tonight", "this week", "this month", "this year", "morning", "afternoon", "evening", "night", "noon",
     "spring", "summer", "winter", "autumn", "weekend", "weekday", "this weekend", "this summer", "this winter")
)  # fmt: skip

CJK_TIME_WORDS: dict[str, str] = {
    "大后天": "day 3",
    "后天": "overmorrow",
    "明后天": "overmorrow",
    "前天": "ereyesterday",
    "今天": "today",
    "今日": "today",
    "明天": "tomorrow",
    "明日": "tomorrow",
    "昨天": "yesterday",
    "昨日": "yesterday",
    "早上": "morning",
    "上午": "morning",
    "下午": "afternoon",
    "晚上": "evening",
    "上周": "last week",
    "下周": "next week",
    "本周": "this week",
    "上个月": "last month",
    "下个月": "next month",
    "这个月": "this month",
    "去年": "last year",
    "明年": "next year",
    "今年": "this year",
    "先週": "last week",
    "来週": "next week",
    "今週": "this week",
    "先月": "last month",
    "来月": "next month",
    "今月": "this month",
    "昨年": "last year",
    "来年": "next year",
    "朝": "morning",
    "午前": "morning",
    "午後": "afternoon",
    "夜": "evening",
    "夕方": "evening",
    "春": "spring",
    "夏": "summer",
    "秋": "autumn",
    "冬": "winter",
    "月曜": "monday",
    "火曜": "tuesday",
    "水曜": "wednesday",
    "木曜": "thursday",
    "金曜": "friday",
    "土曜": "saturday",
    "日曜": "sunday",
    "星期一": "monday",
    "周一": "monday",
    "星期二": "tuesday",
    "周二": "tuesday",
    "星期三": "wednesday",
    "周三": "wednesday",
    "星期四": "thursday",
    "周四": "thursday",
    "星期五": "friday",
    "周五": "friday",
    "星期六": "saturday",
    "周六": "saturday",
    "星期日": "sunday",
    "星期天": "sunday",
    "周日": "sunday",
}
