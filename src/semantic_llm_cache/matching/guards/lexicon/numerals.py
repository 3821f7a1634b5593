"""Number words, multipliers and units of measure."""

from __future__ import annotations

from . import in_order, words

__all__ = ["LOOSE_UNITS", "MULTIPLIERS", "NUMBER_WORDS", "ORDINAL_WORDS", "UNITS"]

_SMALL = in_order(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = in_order("twenty thirty forty fifty sixty seventy eighty ninety")

_ORDINALS = in_order(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
)

ORDINAL_WORDS: dict[str, int] = {word: value for value, word in enumerate(_ORDINALS)}
ORDINAL_WORDS.update(
    {
        word: 20 + 10 * i
        for i, word in enumerate(
            in_order("twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth")
        )
    }
)
ORDINAL_WORDS["hundredth"] = 100


def _numbered(words: str, start: int = 0) -> dict[str, int]:
    """Number a list of words; "a/b" are two spellings of one value, "-" leaves a value out."""
    table: dict[str, int] = {}
    for value, word in enumerate(words.split(), start):
        for spelling in word.split("/"):
            if spelling != "-":
                table[spelling] = value
    return table


def _with_tens(table: dict[str, int], tens: str) -> dict[str, int]:
    for i, word in enumerate(tens.split()):
        for spelling in word.split("/"):
            table[spelling] = 20 + 10 * i
    return table


# "one" of the other languages is its indefinite article too and is left out.
NUMBER_WORDS: dict[str, dict[str, int]] = {
    "en": _with_tens({w: i for i, w in enumerate(_SMALL)}, " ".join(_TENS)),
    "de": _with_tens(
        _numbered(
            "zwei drei vier fünf/fuenf sechs sieben acht neun zehn elf zwölf/zwoelf dreizehn vierzehn fünfzehn "
            "sechzehn siebzehn achtzehn neunzehn",
            2,
        ),
        "zwanzig dreißig/dreissig vierzig fünfzig sechzig siebzig achtzig neunzig hundert",
    ),
    "fr": _with_tens(
        _numbered("deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize", 2),
        "vingt trente quarante cinquante soixante septante octante nonante cent",
    ),
    "es": _with_tens(
        _numbered(
            "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis "
            "diecisiete dieciocho diecinueve",
            2,
        ),
        "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien/ciento",
    ),
    "pt": _with_tens(
        _numbered(
            "dois/duas três quatro cinco seis sete oito nove dez onze doze treze quatorze/catorze quinze "
            "dezesseis dezessete dezoito dezenove",
            2,
        ),
        "vinte trinta quarenta cinquenta sessenta setenta oitenta noventa cem/cento",
    ),
    "it": _with_tens(
        _numbered(
            "due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici "
            "sedici diciassette diciotto diciannove",
            2,
        ),
        "venti trenta quaranta cinquanta sessanta settanta ottanta novanta cento",
    ),
    "nl": _with_tens(
        _numbered(
            "twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien "
            "zeventien achttien negentien",
            2,
        ),
        "twintig dertig veertig vijftig zestig zeventig tachtig negentig honderd",
    ),
    "pl": _with_tens(
        _numbered(
            "dwa/dwie/dwóch trzy/trzech cztery/czterech pięć/pięciu sześć/sześciu siedem/siedmiu osiem/ośmiu "
            "dziewięć/dziewięciu dziesięć/dziesięciu jedenaście dwanaście trzynaście czternaście piętnaście",
            2,
        ),
        "dwadzieścia trzydzieści czterdzieści pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt "
        "dziewięćdziesiąt sto",
    ),
    "ru": _with_tens(
        _numbered(
            "два/две/двух/двумя три/трёх/трех/тремя четыре/четырёх/четырех пять/пяти шесть/шести семь/семи "
            "восемь/восьми девять/девяти десять/десяти одиннадцать двенадцать тринадцать четырнадцать "
            "пятнадцать шестнадцать семнадцать восемнадцать девятнадцать",
            2,
        ),
        "двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто сто",
    ),
}

# Some units and tens are left out where they are other words as well.
NUMBER_WORDS.update(
    {
        "sv": _with_tens(
            _numbered(
                "två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton sjutton arton nitton",
                2,
            ),
            "tjugo trettio fyrtio femtio sextio sjuttio åttio nittio hundra",
        ),
        "da": _with_tens(
            _numbered(
                "to tre fire fem seks syv otte ni ti elleve tolv tretten fjorten femten seksten sytten atten nitten",
                2,
            ),
            "tyve tredive fyrre halvtreds tres halvfjerds firs halvfems hundrede",
        ),
        "no": _with_tens(
            _numbered(
                "to tre fire fem seks sju/syv åtte ni ti elleve tolv tretten fjorten femten seksten sytten "
                "atten nitten",
                2,
            ),
            "tjue/tyve tretti førti femti seksti sytti åtti nitti hundre",
        ),
        "fi": _numbered(
            "kaksi/kahden/kahdessa/kahta kolme/kolmen/kolmessa/kolmea neljä/neljän/neljässä/neljää "
            "viisi/viiden/viidessä/viittä kuusi/kuuden/kuudessa/kuutta seitsemän/seitsemässä "
            "kahdeksan/kahdeksassa yhdeksän/yhdeksässä kymmenen/kymmenessä",
            2,
        ),
        "cs": _with_tens(
            _numbered(
                "dva/dvě/dvou/dvěma tři/tří/třech čtyři/čtyř pět/pěti šest/šesti sedm/sedmi osm/osmi "
                "devět/devíti deset/deseti jedenáct dvanáct třináct čtrnáct patnáct",
                2,
            ),
            "dvacet třicet čtyřicet padesát šedesát sedmdesát osmdesát devadesát sto",
        ),
        "sk": _with_tens(
            _numbered(
                "dva/dve/dvoch tri/troch štyri/štyroch päť/piatich šesť/šiestich sedem/siedmich osem/ôsmich "
                "deväť/deviatich desať/desiatich jedenásť dvanásť",
                2,
            ),
            "dvadsať tridsať štyridsať päťdesiat šesťdesiat sedemdesiat osemdesiat deväťdesiat sto",
        ),
        "hu": _with_tens(
            _numbered(
                "kettő/két három négy öt hat hét nyolc kilenc tíz",
                2,
            ),
            "húsz harminc negyven ötven hatvan hetven nyolcvan kilencven száz",
        ),
        "ro": _with_tens(
            _numbered(
                "doi/două trei patru cinci șase/şase șapte/şapte opt nouă zece unsprezece doisprezece/douăsprezece",
                2,
            ),
            "douăzeci treizeci patruzeci cincizeci șaizeci/şaizeci șaptezeci/şaptezeci optzeci nouăzeci",
        ),
        "id": _numbered(
            "dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas",
            2,
        ),
        "vi": _numbered(
            "hai ba bốn năm sáu bảy tám chín mười",
            2,
        ),
        "ca": _with_tens(
            _numbered(
                "dos/dues tres quatre cinc sis set vuit nou deu onze dotze tretze catorze quinze setze",
                2,
            ),
            "vint trenta quaranta cinquanta seixanta setanta vuitanta noranta cent",
        ),
        "hr": _with_tens(
            _numbered(
                "dva/dvije tri četiri pet šest sedam osam devet deset jedanaest dvanaest",
                2,
            ),
            "dvadeset trideset četrdeset pedeset šezdeset sedamdeset osamdeset devedeset sto",
        ),
        "uk": _with_tens(
            _numbered(
                "два/дві/двох три/трьох чотири/чотирьох ять/п'яти шість/шести сім/семи вісім/восьми "
                "девять/дев'яти десять/десяти",
                2,
            ),
            "двадцять тридцять сорок п'ятдесят шістдесят сімдесят вісімдесят дев'яносто сто",
        ),
        "bg": _with_tens(
            _numbered(
                "два/две три четири пет шест седем осем девет десет единадесет дванадесет",
                2,
            ),
            "двадесет тридесет четиридесет петдесет шестдесет седемдесет осемдесет деветдесет сто",
        ),
        "el": _with_tens(
            _numbered(
                "δύο/δυο τρεις/τρία τέσσερις/τέσσερα πέντε έξι επτά/εφτά οκτώ/οχτώ εννέα/εννιά δέκα έντεκα δώδεκα",
                2,
            ),
            "είκοσι τριάντα σαράντα πενήντα εξήντα εβδομήντα ογδόντα ενενήντα εκατό",
        ),
        "he": _numbered(
            "שתיים/שניים/שני/שתי שלוש/שלושה ארבע/ארבעה חמש/חמישה שש/שישה שבע/שבעה שמונה תשע/תשעה עשר/עשרה",
            2,
        ),
        "ar": _numbered(
            "اثنان/اثنين/اثنتين ثلاث/ثلاثة أربع/أربعة خمس/خمسة ست/ستة سبع/سبعة ثمان/ثماني/ثمانية تسع/تسعة عشر/عشرة",
            2,
        ),
        "ko": _numbered(
            "두/둘 세/셋 네/넷 다섯 여섯 일곱 여덟 아홉 열",
            2,
        ),
    }
)

MULTIPLIERS: dict[str, float] = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "millions": 1e6,
    "mn": 1e6,
    "mio": 1e6,
    "billion": 1e9,
    "billions": 1e9,
    "bn": 1e9,
    "trillion": 1e12,
    "lakh": 1e5,
    "lakhs": 1e5,
    "lac": 1e5,
    "lacs": 1e5,
    "crore": 1e7,
    "crores": 1e7,
    "dozen": 12.0,
    "tausend": 1e3,
    "mille": 1e3,
    "mil": 1e3,
    "mila": 1e3,
    "duizend": 1e3,
    "tysięcy": 1e3,
    "тысяч": 1e3,
    "тысячи": 1e3,
    "million(s)": 1e6,
    "millionen": 1e6,
    "millones": 1e6,
    "milhões": 1e6,
    "milioni": 1e6,
    "miljoen": 1e6,
    "milionów": 1e6,
    "миллионов": 1e6,
    "万": 1e4,
    "亿": 1e8,
    "億": 1e8,
}

# unit -> (dimension, factor to the dimension's base). Two units of one dimension with equal value times
# factor are the same quantity: 120 minutes is 2 hours.
UNITS: dict[str, tuple[str, float]] = {}


def _units(dimension: str, table: dict[str, float]) -> None:
    for names, factor in table.items():
        for word in names.split():
            UNITS[word] = (dimension, factor)


_units(
    "length",
    {
        "mm millimeter millimeters millimetre millimetres": 0.001,
        "cm centimeter centimeters centimetre centimetres centimètres centímetros centimetri": 0.01,
        "m meter meters metre metres mètres metros metri метров": 1.0,
        "km kms kilometer kilometers kilometre kilometres kilomètres kilómetros quilômetros chilometri "
        "kilometrów километров км": 1000.0,
        "inch inches": 0.0254,
        "ft foot feet": 0.3048,
        "yd yard yards": 0.9144,
        "mi mile miles meilen millas milhas miglia mijl mil мили миль": 1609.344,
        "nm nanometer nanometers": 1e-9,
        "lightyear lightyears": 9.4607e15,
    },
)
_units(
    "mass",
    {
        "mg milligram milligrams": 1e-6,
        "g gram grams gramm gramme grammes gramos grammi": 1e-3,
        "kg kgs kilo kilos kilogram kilograms kilogramm кг килограмм": 1.0,
        "lb lbs pound pounds": 0.45359237,
        "oz ounce ounces": 0.028349523125,
        "ton tons tonne tonnes tonnen toneladas": 1000.0,
        "stone stones": 6.35029318,
    },
)
_units(
    "time",
    {
        "ms millisecond milliseconds": 1e-3,
        "us microsecond microseconds": 1e-6,
        "s sec secs second seconds sekunden secondes segundos secondi seconden sekund секунд 秒": 1.0,
        "min mins minute minutes minuten minutos minuti minut минут 分 分钟": 60.0,
        "h hr hrs hour hours stunde stunden heure heures hora horas ora ore uur godzin godziny godzina "
        "час часа часов 小时 時間": 3600.0,
        "d day days tag tage tagen jour jours día días dia dias giorno giorni dag dagen dzień dni день дня "
        "дней 天 日": 86400.0,
        "wk wks week weeks woche wochen semaine semaines semana semanas settimana settimane weken tydzień "
        "tygodnie tygodni неделя недели недель 周 週間": 604800.0,
        "month months monat monate monaten mois mes meses mês mese mesi maand maanden miesiąc miesiące "
        "miesięcy месяц месяца месяцев 月": 2629800.0,
        "yr yrs year years jahr jahre jahren an ans année années año años ano anos anno anni jaar jaren rok "
        "lata lat год года лет 年": 31557600.0,
        "decade decades": 315576000.0,
        "century centuries": 3155760000.0,
    },
)
_units(
    "data",
    {
        "kb kilobyte kilobytes": 1e3,
        "mb megabyte megabytes": 1e6,
        "gb gigabyte gigabytes gig gigs": 1e9,
        "tb terabyte terabytes": 1e12,
        "byte bytes": 1.0,
        "bit bits": 0.125,
        "kbps": 125.0,
        "mbps": 125000.0,
        "gbps": 1.25e8,
    },
)
_units(
    "volume",
    {
        "ml milliliter milliliters millilitre millilitres": 1e-3,
        "l liter liters litre litres litro litros litri литр литров": 1.0,
        "gallon gallons gal": 3.785411784,
        "pint pints": 0.473176473,
        "cup cups": 0.2365882365,
        "tbsp tablespoon tablespoons": 0.01478676,
        "tsp teaspoon teaspoons": 0.00492892,
    },
)
_units("area", {"acre acres": 4046.8564224, "hectare hectares ha": 1e4, "sqft": 0.09290304, "sqm": 1.0})
_units("speed", {"mph": 0.44704, "kmh kph kmph": 0.2777778, "knots": 0.514444})
_units("power", {"w watt watts": 1.0, "kw kilowatt kilowatts": 1e3, "hp horsepower": 745.7})
_units("energy", {"calorie calories cal kcal": 4184.0, "joule joules": 1.0, "kwh": 3.6e6})
_units("voltage", {"v volt volts": 1.0, "kv": 1e3})
_units("percent", {"% percent pct prozent pourcent procent процентов": 1.0})
for _name, _words in {
    "celsius": "celsius °c",
    "fahrenheit": "fahrenheit °f",
    "kelvin": "kelvin",
    "degrees": "degree degrees ° grad degrés grados graus gradi",
    "USD": "$ usd dollar dollars dólares dólar dollari доллар доллара долларов",
    "EUR": "€ eur euro euros евро",
    "GBP": "£ gbp sterling quid",
    "INR": "₹ inr rs rupee rupees",
    "JPY": "¥ jpy yen 円",
    "CNY": "cny rmb yuan 元",
    "CHF": "chf franken",
    "PLN": "pln zł złoty złotych",
    "RUB": "₽ rub ruble rubles rouble roubles рубль рублей рубля",
    "KRW": "₩ krw won",
    "BTC": "btc bitcoin bitcoins",
    "CAD": "cad",
    "AUD": "aud",
    "MXN": "mxn pesos peso",
    "BRL": "brl reais",
}.items():
    _units(_name, {_words: 1.0})

# Words that are units even with no number in front ("convert to miles", "paid per hour"). Left out are
# words with another everyday sense (second, pound, foot, stone, won, m, in).
LOOSE_UNITS = frozenset(
    word
    for word in UNITS
    if len(word) > 2
    and word
    not in words(
        "min mins second seconds minute minutes pound pounds foot feet yard yards stone stones won mil "
        "ora ore ans año años ano anos anni lat lata rok dag tag an cal gal bit bits cup cups century "
        "decade degree degrees sec secs gig gigs quid sterling mes mese mai hora horas час год лет day "
        "days jour dia día years year jahr jahre peso decades centuries gram watt bitcoin bitcoins knots "
        "grad mijl"
    )
) | frozenset(("km", "kg", "lb", "mb", "gb", "tb", "kb", "$", "€", "£", "₹", "km/h"))
