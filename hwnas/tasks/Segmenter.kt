// Android: takes every pixel of pictures for a class, with ShippedModel.kt beside it, which says what it needs.
// Compiled and run on the JVM, with stand-ins for Android and LiteRT; not on a phone.

import android.content.Context
import android.graphics.Bitmap
import kotlin.math.floor
import kotlin.math.min

/** Takes every pixel of pictures for a class. Make one and keep it; close it in the end. */
class Segmenter(context: Context, file: String = "model.int8.tflite") : AutoCloseable {
    private val model = ShippedModel(context, file)

    /** Names of the classes, by their numbers in a mask. */
    val names: List<String> = model.names

    /** The class of every place of a picture, row by row, at as many places as are asked for.
     *
     * picture: from ImageDecoder with ALLOCATOR_SOFTWARE, which turns it upright as EXIF says. */
    fun mask(picture: Bitmap, columns: Int = model.width, rows: Int = model.height): ByteArray {
        val (logits) = model.answers(picture)
        val (high, wide) = size(logits.size / names.size)
        val (down, across) = Steps(rows, high) to Steps(columns, wide)
        val found = ByteArray(rows * columns)
        for (y in 0 until rows) for (x in 0 until columns) {
            val above = down.low[y] * wide
            val below = down.high[y] * wide
            var best = Float.NEGATIVE_INFINITY
            for (of in names.indices) {
                fun logit(place: Int) = logits[place * names.size + of]  // NHWC
                val first = mixed(logit(above + across.low[x]), logit(above + across.high[x]), across.share[x])
                val second = mixed(logit(below + across.low[x]), logit(below + across.high[x]), across.share[x])
                val seen = mixed(first, second, down.share[y])
                if (seen > best) {
                    best = seen
                    found[y * columns + x] = of.toByte()
                }
            }
        }
        return found
    }

    /** A mask in the colours of its classes. */
    fun drawn(mask: ByteArray, columns: Int = model.width, rows: Int = model.height): Bitmap {
        val pixels = IntArray(mask.size) { model.colours[mask[it].toInt() and 0xff] }
        return Bitmap.createBitmap(pixels, columns, rows, Bitmap.Config.ARGB_8888)
    }

    override fun close() = model.close()

    /** Rows and columns of so many logits of a class: the picture's, halved some times. */
    private fun size(places: Int): Pair<Int, Int> {
        fun parts(side: Int, stride: Int) = (side + stride - 1) / stride
        val strides = generateSequence(1) { 2 * it }.takeWhile { it <= 64 }
        return strides.map { parts(model.height, it) to parts(model.width, it) }
            .first { (high, wide) -> high * wide == places }
    }

    /** Where each of many places lies between a few: bilinear, half-pixel centres. */
    private class Steps(many: Int, few: Int) {
        private val at = DoubleArray(many) { ((it + 0.5) * few / many - 0.5).coerceIn(0.0, few - 1.0) }
        val low = IntArray(many) { floor(at[it]).toInt() }
        val high = IntArray(many) { min(low[it] + 1, few - 1) }
        val share = FloatArray(many) { (at[it] - low[it]).toFloat() }
    }

    private fun mixed(first: Float, second: Float, share: Float) = first * (1 - share) + second * share
}
